package io.github.jmeterwebrtc.jmeter.softphone;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.call.WebRtcSampler;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.RegisteredSoftphone;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/**
 * WebRTC Softphone Unregister: says farewell as the profile says, and closes the softphone's WebSocket. Calls that are up go on
 * until they are hung up.
 */
public class UnregisterSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    /** Name of the softphone within its thread (default empty, which is a name too). */
    public static final String SOFTPHONE = RegisterSampler.SOFTPHONE;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        String name = getSoftphone();
        long byeTimeoutMs = CallSettings.byeTimeoutMs(this);
        result.request("Unregister softphone '" + name + "'");
        RegisteredSoftphone known = thread.softphones().remove(name);
        if (known == null) {
            result.failure(Codes.CONFIG, RegisteredSoftphone.missing(name));
            return;
        }
        JsonNode report = known.softphone().unregister(bounded.operation(), bounded.clip(byeTimeoutMs));
        VendorNotice.ofTest().heard(report);
        if (report.path("unregisterUs").isNumber()) {
            result.took(report.path("unregisterUs").asLong());
        }
        result.json(report);
        result.success("200", "OK");
    }

    /** @return {@link #SOFTPHONE}, trimmed */
    public String getSoftphone() {
        return getPropertyAsString(SOFTPHONE).trim();
    }

    /** @param name {@link #SOFTPHONE} */
    public void setSoftphone(String name) {
        setProperty(SOFTPHONE, name);
    }
}
