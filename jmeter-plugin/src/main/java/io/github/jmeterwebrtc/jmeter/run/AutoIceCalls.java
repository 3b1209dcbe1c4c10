package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.AutoIceResult;
import io.github.jmeterwebrtc.CallOutcome;
import io.github.jmeterwebrtc.jmeter.result.CallRecord;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.result.SampleMode;
import java.util.List;

/**
 * Tells what became of calls that messages of the plan have started: a sample {@value #LABEL} for each that came up or did not,
 * {@value LostCalls#LABEL} for each that was lost later, once.
 *
 * <p>They stand beside the plan's own samples, which stay what they are. A sample carries the time of what it tells, not that of
 * the telling. {@code webrtc.samples=none} keeps them silent.
 */
final class AutoIceCalls {
    /** Label of the sample that tells how a call came up. */
    static final String LABEL = "WebRTC connect";

    private AutoIceCalls() {
    }

    static void tell(List<AutoIceResult> results, SampleDelivery delivery) {
        if (SampleMode.ofProperties() == SampleMode.NONE) {
            return;
        }
        for (AutoIceResult result : results) {
            if (result.isLost()) {
                lost(result, delivery);
            } else {
                connect(result, delivery);
            }
        }
    }

    private static void connect(AutoIceResult call, SampleDelivery delivery) {
        CallOutcome outcome = call.outcome();
        ResultBuilder result = new ResultBuilder(LABEL);
        result.happenedAt(call.startEpochMs());
        result.request(sentence(call));
        CallRecord.write(outcome, result);
        delivery.deliver(result, CallRecord.sessionColumns(outcome.json()));
    }

    private static void lost(AutoIceResult call, SampleDelivery delivery) {
        JsonNode report = call.json().path("report");
        LostCalls.tell(sentence(call), call.startEpochMs() + call.lost().path("atUs").asLong() / 1000, call.lost(), report,
                delivery);
    }

    private static String sentence(AutoIceResult call) {
        return "Auto ICE call '" + call.callName() + "' " + (call.isOffering() ? "offered" : "answered") + " by the plan over '"
                + call.place() + "'" + (call.dialog().isEmpty() ? "" : ", dialog " + call.dialog());
    }
}
