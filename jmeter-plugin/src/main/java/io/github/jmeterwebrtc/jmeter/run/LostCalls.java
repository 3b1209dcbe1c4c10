package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.result.SampleMode;
import java.util.Collection;
import java.util.Collections;

/**
 * Tells of calls that broke while no sampler was looking: one failed sample {@value #LABEL} for each, once.
 *
 * <p>The sample carries the time of the loss, not that of its discovery. {@code webrtc.samples=none} keeps it silent.
 */
final class LostCalls {
    /** Label of the sample. */
    static final String LABEL = "WebRTC lost";
    /** Response code of the sample. */
    static final String CODE = "CALL_LOST";

    private LostCalls() {
    }

    static void report(Collection<PlacedCall> calls, SampleDelivery delivery) {
        for (PlacedCall call : calls) {
            if (!call.isLost() && call.session().isLost()) {
                tell(call, call.session().report(), delivery);
            }
        }
    }

    /** Emits the sample of a call that is lost; {@code report} is the engine's, of the session or of its hang-up. */
    static void tell(PlacedCall call, JsonNode report, SampleDelivery delivery) {
        call.setLost();
        if (SampleMode.ofProperties() == SampleMode.NONE) {
            return;
        }
        JsonNode lost = report.path("lost");
        tell("Call '" + call.name() + "' was connected and is now " + state(report), call.epochMillis(lost.path("atUs")), lost,
                report, delivery);
    }

    /** Emits the sample of a loss. */
    static void tell(String sentence, long epochMillis, JsonNode lost, JsonNode report, SampleDelivery delivery) {
        String state = state(report);
        ResultBuilder result = new ResultBuilder(LABEL);
        result.untimed();
        result.happenedAt(epochMillis);
        result.request(sentence);
        result.failure(CODE, failure(lost, state, report));
        result.starved(lost.path("starved").asBoolean() || report.path("starved").asBoolean());
        delivery.deliver(result, Collections.singletonMap(Columns.STATE, state));
    }

    private static String state(JsonNode report) {
        return report.path("state").asText("closed");
    }

    /** Why a call was lost; pure. */
    static FailureReport failure(JsonNode lost, String state, JsonNode report) {
        String why = lost.path("message").asText("");
        return new FailureReport("Call lost", lost.path("code").asText(CODE),
                why.isEmpty() ? "its state is " + state : why, lost, report);
    }
}
