package io.github.jmeterwebrtc.jmeter.result;

import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;

/**
 * The words of the one list of codes that this plugin itself says; all others come from the engine.
 *
 * <p>The list is the engine's ({@code docs/causes.md} is made from it); a test of the engine fails when a word of this class is
 * not in it.
 */
public final class Codes {
    /** A field of the element has a value that cannot be used, or names a WebSocket or call that is not there. */
    public static final String CONFIG = "CONFIG";
    /** The wait was stopped, or what the element used was closed by our own side. */
    public static final String CANCELLED = "CANCELLED";
    /** A message was not answered in time. */
    public static final String SIGNALING_TIMEOUT = "SIGNALING_TIMEOUT";
    /** ICE did not connect. */
    public static final String ICE_FAILED = "ICE_FAILED";
    /** No media came. */
    public static final String MEDIA_NONE_IN = "MEDIA_NONE_IN";
    /** The call was lost. */
    public static final String CALL_LOST = "CALL_LOST";
    /** A limit or expectation of the plan is not met. */
    public static final String CHECK_FAILED = "CHECK_FAILED";
    /** The native library cannot be loaded, or has a fault. */
    public static final String ENGINE_FAILED = "ENGINE_FAILED";

    private static final Set<String> ALL = Collections.unmodifiableSet(new HashSet<>(Arrays.asList(
            CONFIG, CANCELLED, SIGNALING_TIMEOUT, ICE_FAILED, MEDIA_NONE_IN, CALL_LOST, CHECK_FAILED, ENGINE_FAILED)));

    private Codes() {
    }

    /**
     * The word for a failure of which only the response code is known.
     *
     * @param responseCode a word of the list; or a text of the WebSocket samplers, which existing plans rely on
     * @return the word itself; for such a text {@link #CONFIG}, since what the engine says has a word already
     */
    static String of(String responseCode) {
        return ALL.contains(responseCode) ? responseCode : CONFIG;
    }
}
