package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;

/** Why and how a WebSocket ended, exactly as the wire showed it. */
public final class CloseCause {
    private final JsonNode json;

    CloseCause(JsonNode json) {
        this.json = json;
    }

    /**
     * The kind of end.
     *
     * @return {@code closeFrame}, {@code closedByUs}, {@code fin}, {@code reset}, {@code pingTimeout}, {@code tlsAlert},
     *         {@code protocol}, {@code io} or {@code scopeEnded}
     */
    public String kind() {
        return json.path("kind").asText();
    }

    /**
     * Status code of the close frame (RFC 6455 section 7.4).
     *
     * @return the code, or null where no code was on the wire
     */
    public Integer code() {
        JsonNode code = json.path("code");
        return code.isNumber() ? Integer.valueOf(code.asInt()) : null;
    }

    /**
     * Reason text of the close frame.
     *
     * @return the text, empty where there was none
     */
    public String reason() {
        return json.path("reason").asText("");
    }

    /**
     * The same for people.
     *
     * @return one sentence
     */
    public String describe() {
        return json.path("description").asText();
    }

    /**
     * What stands for this end in results.
     *
     * @return a word of the one list of codes ({@code docs/causes.md}), such as {@code CLOSED_BY_FIN}
     */
    public String resultCode() {
        return json.path("resultCode").asText("ENGINE_FAILED");
    }

    /**
     * All facts.
     *
     * @return a JSON object
     */
    public JsonNode json() {
        return json;
    }

    @Override
    public String toString() {
        return describe();
    }
}
