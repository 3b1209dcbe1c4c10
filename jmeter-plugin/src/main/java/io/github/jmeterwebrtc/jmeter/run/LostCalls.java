package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.result.SampleMode;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import org.apache.jmeter.threads.JMeterVariables;

/**
 * Tells of calls that broke while no sampler was looking: one failed sample {@value #LABEL} for each, once.
 *
 * <p>{@code webrtc.samples=none} keeps it silent.
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
            if (!call.isLost()) {
                look(call, delivery);
            }
        }
    }

    private static void look(PlacedCall call, SampleDelivery delivery) {
        JsonNode report = call.session().report();
        JsonNode lost = report.path("lost");
        String state = report.path("state").asText();
        boolean over = "failed".equals(state) || "closed".equals(state);
        if (!lost.isObject() && !over) {
            // Disconnected may recover (W3C: "transient").
            return;
        }
        call.setLost();
        if (SampleMode.ofProperties() == SampleMode.NONE) {
            return;
        }
        ResultBuilder result = new ResultBuilder(LABEL);
        result.request("Call '" + call.name() + "' was connected and is now " + state);
        String why = lost.path("message").asText("");
        result.failure(CODE, "The call was lost: " + (why.isEmpty() ? "its state is " + state : why));
        result.evidence("Call lost", lost.path("code").asText(CODE), report);

        JMeterVariables variables = delivery.variables();
        Map<String, String> columns = takeColumns(variables);
        Columns.clear(variables);
        Columns.put(variables, Columns.STATE, state);
        Columns.put(variables, Columns.CAUSE, lost.path("code").asText(CODE));
        delivery.deliver(result.build());
        columns.forEach((name, value) -> Columns.put(variables, name, value));
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
