package io.github.jmeterwebrtc.jmeter.result;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.CallOutcome;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What became of setting up a call, as a result shows it: times, phases, code, message, offer and answer; the same for a call
 * that a sampler has placed and for one that a message of the plan has started. Pure.
 */
public final class CallRecord {
    private CallRecord() {
    }

    /**
     * Writes an outcome into a result; a time that the result has already comes before it.
     *
     * @param outcome of the engine
     * @param result gets it
     */
    public static void write(CallOutcome outcome, ResultBuilder result) {
        JsonNode json = outcome.json();
        // A WebSocket that this sample opened comes first.
        long before = result.elapsedUs();
        result.took(outcome.elapsedUs());
        result.waitedAtGate(outcome.gateWaitUs());
        result.starved(outcome.starved());
        result.milestones(after(before, outcome.connectUs()), after(before, outcome.latencyUs()));
        phase(result, json, "gatherUs", Columns.GATHER_MS);
        phase(result, json, "signalingUs", Columns.SIGNALING_MS);
        phase(result, json, "iceUs", Columns.ICE_MS);
        phase(result, json, "dtlsUs", Columns.DTLS_MS);
        phase(result, json, "firstRtpUs", Columns.FIRST_RTP_MS);
        String offer = json.path("offerSdp").asText("");
        if (!offer.isEmpty()) {
            result.request(offer);
        }
        if (outcome.success()) {
            result.success("200", "OK");
            result.json(withoutOffer(json));
        } else {
            result.failure(outcome.code(), failure(outcome));
        }
        if (SampleMode.ofProperties() == SampleMode.PHASES) {
            result.phasesAsSubResults();
        }
    }

    /**
     * The columns that a session's report or a call's outcome fills.
     *
     * @param session JSON with {@code state} and {@code selectedPair}
     * @return column name → text
     */
    public static Map<String, String> sessionColumns(JsonNode session) {
        Map<String, String> columns = new LinkedHashMap<>();
        columns.put(Columns.STATE, session.path("state").asText(""));
        JsonNode pair = session.path("selectedPair");
        if (pair.size() == 2) {
            columns.put(Columns.SELECTED_PAIR, pair.path(0).asText() + " -> " + pair.path(1).asText());
        }
        return columns;
    }

    private static FailureReport failure(CallOutcome outcome) {
        JsonNode error = outcome.json().path("error");
        ObjectNode verdict = error.isObject() ? error.deepCopy() : JsonNodeFactory.instance.objectNode();
        for (String ofOutcome : new String[] {"starved", "starvedReasons"}) {
            if (outcome.json().has(ofOutcome)) {
                verdict.set(ofOutcome, outcome.json().path(ofOutcome));
            }
        }
        return new FailureReport(error.path("error").asText("Call failed"), outcome.code(), outcome.message(), verdict,
                error.path("details"));
    }

    private static JsonNode withoutOffer(JsonNode outcome) {
        if (!outcome.isObject()) {
            return outcome;
        }
        ObjectNode shown = outcome.deepCopy();
        shown.remove("offerSdp");
        return shown;
    }

    private static long after(long before, long micros) {
        return micros <= 0 ? 0 : before + micros;
    }

    private static void phase(ResultBuilder result, JsonNode outcome, String field, String column) {
        JsonNode micros = outcome.path("phases").path(field);
        if (micros.isNumber()) {
            result.phase(column, micros.asLong());
        }
    }
}
