package io.github.jmeterwebrtc.jmeter.functions;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.Session;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code ${__webrtcStat(callName,name,variable)}}: a number of a call as it is now: {@code packetsSent}, {@code packetsReceived},
 * {@code packetsLost}, {@code jitter} and whatever else the session counts, or a phase such as {@code iceConnectedUs}.
 */
public class WebRtcStat extends CallFunction {
    /** The function. */
    public WebRtcStat() {
        super("__webrtcStat", "Name of the number: packetsSent, packetsReceived (default), packetsLost, jitter, …");
    }

    @Override
    String evaluate(Evaluation evaluation) throws InvalidElementException {
        String name = evaluation.parameter(1).isEmpty() ? "packetsReceived" : evaluation.parameter(1);
        Session session = evaluation.thread.scope().session(evaluation.call);
        if (session == null) {
            throw new InvalidElementException("callName: there is no call '" + evaluation.call + "' in this thread");
        }
        JsonNode report = session.report();
        List<String> known = new ArrayList<>();
        for (String part : new String[] {"counters", "phases"}) {
            JsonNode value = report.path(part).path(name);
            if (value.isValueNode()) {
                return value.asText();
            }
            report.path(part).fieldNames().forEachRemaining(known::add);
        }
        throw new InvalidElementException("name: '" + name + "' is none of " + String.join(", ", known));
    }
}
