package io.github.jmeterwebrtc.jmeter.result;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.Registered;

/** What became of registering a softphone, as a result shows it: times, phases, code, message. Pure. */
public final class RegistrationRecord {
    private static final String NOT_REGISTERED = "not registered: ";

    private RegistrationRecord() {
    }

    /**
     * Writes an outcome into a result.
     *
     * @param registered of the engine
     * @param result gets it
     */
    public static void write(Registered registered, ResultBuilder result) {
        write(registered.success(), registered.code(), registered.message(), registered.json(), result);
    }

    /** The same, of the plain values. */
    static void write(boolean success, String code, String message, JsonNode json, ResultBuilder result) {
        result.took(json.path("elapsedUs").asLong());
        result.waitedAtGate(json.path("gateWaitUs").asLong(-1));
        result.milestones(json.path("connectUs").asLong(), json.path("latencyUs").asLong());
        result.starved(json.path("starved").asBoolean());
        JsonNode phases = json.path("phases");
        phase(result, phases, "http", Columns.HTTP_MS);
        phase(result, phases, "dns", Columns.DNS_MS);
        phase(result, phases, "tcp", Columns.TCP_MS);
        phase(result, phases, "tls", Columns.TLS_MS);
        phase(result, phases, "upgrade", Columns.UPGRADE_MS);
        phase(result, phases, "login", Columns.LOGIN_MS);
        if (success) {
            result.success("200", "OK");
            result.json(json);
        } else {
            // The heading says that already.
            String why = message.startsWith(NOT_REGISTERED) ? message.substring(NOT_REGISTERED.length()) : message;
            result.failure(code, new FailureReport("Registration failed", code, why, json, json));
        }
        if (SampleMode.ofProperties() == SampleMode.PHASES) {
            result.phasesAsSubResults();
        }
    }

    private static void phase(ResultBuilder result, JsonNode phases, String field, String column) {
        JsonNode micros = phases.path(field);
        if (micros.isNumber()) {
            result.phase(column, micros.asLong());
        }
    }
}
