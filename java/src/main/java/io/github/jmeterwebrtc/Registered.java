package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;

/** What became of registering a softphone. A registration that failed is an outcome, not an exception. */
public final class Registered {
    private final JsonNode json;
    private final Softphone softphone;

    Registered(JsonNode json, Softphone softphone) {
        this.json = json;
        this.softphone = softphone;
    }

    /**
     * Whether the softphone is registered.
     *
     * @return true when calls can be placed and taken
     */
    public boolean success() {
        return json.path("success").asBoolean();
    }

    /**
     * The result in one word.
     *
     * @return {@code 200} or a word of the one list of codes ({@code UPGRADE_RATE_LIMITED}, {@code DUPLICATE_IDENTITY}, …)
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
     * Everything known about the registration: {@code success}, {@code code}, {@code message}, {@code elapsedUs} (start →
     * registered, or → failure), {@code connectUs} (start → WebSocket open, null when not reached), {@code latencyUs} (start →
     * first message of the server on it, null likewise), {@code phases} ({@code dns}, {@code tcp}, {@code tls},
     * {@code upgrade}, {@code http}, {@code login}, each a duration in µs or null), {@code profile}, {@code server}
     * ({@code host:port}, null when not reached), {@code relayOnly}, {@code iceServers} (how many the server named),
     * {@code registrations} (how often it became registered), {@code problems} (what was not done, the last first),
     * {@code notice} (null, or the vendor's rule for load tests where a URL led to the vendor), {@code starved},
     * {@code starvedReasons}, {@code verdict} (null, or {@code cause}, {@code confidence}, {@code evidence}, {@code advice},
     * {@code also}), {@code identity} ({@code sameUserHere}: other softphones of this process that are the same user). With a
     * gate also {@code gateWaitUs}, which no other time counts.
     *
     * @return a JSON object
     */
    public JsonNode json() {
        return json;
    }

    /**
     * The softphone that is registered.
     *
     * @return null on failure
     */
    public Softphone softphone() {
        return softphone;
    }
}
