package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * Something that was asked of the engine failed, and the world outside is the reason: a name, a server, a packet.
 *
 * <p>{@link #code()} is one of a fixed set of words for programs; results carry {@link #resultCode()}. Opening a socket gives {@code DNS}, {@code CONNECT},
 * {@code CONNECT_TIMEOUT}, {@code TLS}, {@code PROXY}, {@code UPGRADE_STATUS}, {@code UPGRADE}, {@code TIMEOUT} or
 * {@code CLOSED}. A socket in use gives {@code CLOSED}, registering it {@code SIGNALING_REFUSED} or
 * how it closed ({@code CLOSED_BY_FIN}…). A session gives {@code UDP_SOCKET}, {@code SDP},
 * {@code SESSION_FAILED} or {@code SESSION_CLOSED}. A lab gives {@code LISTEN}. {@code UNFINISHED}: a good-bye took longer than
 * it was waited for and ends in the background. {@code NATIVE_PANIC} is a bug of the
 * engine; the engine goes on working after it.
 */
public final class EngineException extends Exception {
    private static final long serialVersionUID = 1L;

    private final String code;
    private final String detailsJson;

    /**
     * Made by the native library, which calls exactly this constructor.
     *
     * @param code        a fixed word
     * @param message     what failed, where, and the evidence
     * @param detailsJson a JSON object with every fact
     */
    public EngineException(String code, String message, String detailsJson) {
        super(message);
        this.code = code;
        this.detailsJson = detailsJson;
    }

    /**
     * The kind of failure.
     *
     * @return one of the fixed words listed at the class
     */
    public String code() {
        return code;
    }

    /**
     * What stands for the failure in results: why it failed where that is known, else what failed.
     *
     * @return a word of the one list of codes ({@code docs/causes.md})
     */
    public String resultCode() {
        return details().path("resultCode").asText("ENGINE_FAILED");
    }

    /**
     * Every fact that belongs to the failure: for a refused upgrade {@code status}, {@code statusLine},
     * {@code headers} (pairs, in order), {@code body}, {@code requestBytes}, {@code responseBytes}; for a failed connect
     * {@code errno} and {@code attempts}; for DNS {@code host}, {@code rcode}, {@code elapsedMs}; for a closed socket
     * {@code cause} (see {@link CloseCause}).
     *
     * @return a JSON object, never null
     */
    public JsonNode details() {
        return Json.parse(detailsJson);
    }
}
