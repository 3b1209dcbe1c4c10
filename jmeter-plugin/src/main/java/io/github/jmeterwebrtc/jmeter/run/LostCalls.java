package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.result.SampleMode;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import org.apache.jmeter.threads.JMeterVariables;

/**
 * Tells of calls that broke while no sampler was looking: one failed sample {@value #LABEL} for each, once.
 *
 * <p>The sample carries the time of the loss, not that of its discovery. {@code webrtc.samples=none} keeps it silent.
 */
final class LostCalls {
    /** Label of the sample. */
    static final String LABEL = "WebRTC lost";

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
        String state = report.path("state").asText("closed");
        ResultBuilder result = new ResultBuilder(LABEL);
        result.untimed();
        result.happenedAt(call.epochMillis(lost.path("atUs")));
        result.request("Call '" + call.name() + "' was connected and is now " + state);
        result.failure(Codes.CALL_LOST, failure(lost, state, report));
        result.starved(lost.path("starved").asBoolean() || report.path("starved").asBoolean());

        JMeterVariables variables = delivery.variables();
        Map<String, String> columns = takeColumns(variables);
        Columns.clear(variables);
        Columns.put(variables, Columns.STATE, state);
        result.columns().forEach((name, value) -> Columns.put(variables, name, value));
        delivery.deliver(result.build());
        columns.forEach((name, value) -> Columns.put(variables, name, value));
    }

    /** Why a call was lost; pure. */
    static FailureReport failure(JsonNode lost, String state, JsonNode report) {
        String why = lost.path("message").asText("");
        return new FailureReport("Call lost", Codes.CALL_LOST,
                why.isEmpty() ? "its state is " + state : why, lost, report);
    }

    private static Map<String, String> takeColumns(JMeterVariables variables) {
        Map<String, String> values = new HashMap<>();
        if (variables != null) {
            for (String name : Columns.NAMES) {
                String value = variables.get(name);
                values.put(name, value == null ? "" : value);
            }
        }
        return values;
    }
}
