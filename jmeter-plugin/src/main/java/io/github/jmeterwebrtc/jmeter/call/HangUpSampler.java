package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;

/** WebRTC Hang Up: ends a call and settles the packet accounts with the other side. */
public class HangUpSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException {
        long byeTimeoutMs = CallSettings.byeTimeoutMs(this);
        PlacedCall call = call(thread, result);
        if (call == null) {
            return;
        }
        thread.calls().remove(call.name());
        JsonNode before = call.session().report();
        JsonNode report = call.session().hangUp(bounded.operation(), bounded.clip(byeTimeoutMs));
        if (!call.isAutoIce()) {
            thread.reportIfLost(call, report);
        }
        if (report.path("hangUpUs").isNumber()) {
            result.took(report.path("hangUpUs").asLong());
        }
        writeSessionColumns(before);
        writeMediaColumns(report.path("media"));
        result.starved(report.path("starved").asBoolean());
        result.json(report);
        // A lost call has already been told as a sample of its own; ending it is a success.
        result.success("200", report.path("lost").isObject() ? "The call had been lost before" : "OK");
    }
}
