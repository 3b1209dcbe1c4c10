package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;

/** What became of placing or answering a call. A failed call is an outcome, not an exception. */
public final class CallOutcome {
    private final JsonNode json;
    private final Session session;

    CallOutcome(JsonNode json, Session session) {
        this.json = json;
        this.session = session;
    }

    /**
     * Whether the call is up: media flows, unless the configuration said not to wait for it.
     *
     * @return true for a call that is up
     */
    public boolean success() {
        return json.path("success").asBoolean();
    }

    /**
     * The result in one word.
     *
     * @return {@code 200} or one of the fixed call codes ({@code ICE_FAILED}, {@code SIGNALING_TIMEOUT}, …)
     */
    public String code() {
        return json.path("code").asText();
    }

    /**
     * The result for people: what failed, where, with the evidence.
     *
     * @return one line
     */
    public String message() {
        return json.path("message").asText();
    }

    /**
     * Start → first RTP packet in (or → failure).
     *
     * @return µs
     */
    public long elapsedUs() {
        return json.path("elapsedUs").asLong();
    }

    /**
     * Start → ICE connected.
     *
     * @return µs, 0 when not reached
     */
    public long connectUs() {
        return json.path("connectUs").asLong();
    }

    /**
     * Start → DTLS done.
     *
     * @return µs, 0 when not reached
     */
    public long latencyUs() {
        return json.path("latencyUs").asLong();
    }

    /**
     * Wait in the start gate, before the call started; no part of the other times.
     *
     * @return µs, −1 without a gate
     */
    public long gateWaitUs() {
        return json.path("gateWaitUs").asLong(-1);
    }

    /**
     * Whether this machine was short of something while the call was set up, so that its times are not the network's.
     *
     * @return false also where the engine does not tell
     */
    public boolean starved() {
        return json.path("starved").asBoolean();
    }

    /**
     * Everything known about the call: phases, selected pair, codec, state, timeline, offer and answer, error.
     *
     * @return a JSON object
     */
    public JsonNode json() {
        return json;
    }

    /**
     * The session of a call that is up.
     *
     * @return null on failure
     */
    public Session session() {
        return session;
    }
}
