package io.github.jmeterwebrtc.jmeter.plan;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A quick look whether a text of a plan holds a session description or a candidate, and in which shape: enough to say so in a
 * log. What really happens to a message is decided by the engine, message by message. Pure.
 */
public final class CannedSdp {
    /** {@code v=0} and, within reach, what no other text has; line ends and quotes may be escaped. */
    private static final Pattern DESCRIPTION = Pattern.compile("v(=|%3[Dd])0(?=[\\s\\\\&%]).{0,4000}?(ice-ufrag|m(=|%3[Dd])(audio|video|application))",
            Pattern.DOTALL);
    private static final Pattern CANDIDATE = Pattern.compile("candidate(:|%3[Aa])[A-Za-z0-9+/]{1,32}( |%20|\\+)\\d|end-of-candidates");
    /** {@code {"} and {@code v=0} at the start of base64 (RFC 4648). */
    private static final Pattern BASE64 = Pattern.compile("(?:eyJ|ewo|dj0w)[A-Za-z0-9+/_-]{45,}");
    private static final int MOST_CHARS = 1 << 20;
    private static final int BASE64_QUANTUM = 4;

    private CannedSdp() {
    }

    /**
     * The shape of what a text holds.
     *
     * @param text any text; of a long one only the first million characters are looked at
     * @return null when it holds neither a description nor a candidate
     */
    public static String shape(String text) {
        String looked = text.length() > MOST_CHARS ? text.substring(0, MOST_CHARS) : text;
        if (holds(looked)) {
            return around(looked);
        }
        Matcher encoded = BASE64.matcher(looked);
        while (encoded.find()) {
            String inner = decoded(encoded.group());
            if (inner != null && holds(inner)) {
                return "base64";
            }
        }
        return null;
    }

    private static boolean holds(String text) {
        return text.contains("v=0") && DESCRIPTION.matcher(text).find()
                || text.contains("v%3") && DESCRIPTION.matcher(text).find()
                || text.contains("candidate") && CANDIDATE.matcher(text).find();
    }

    private static String around(String text) {
        String begin = text.trim();
        if (begin.contains(" SIP/2.0")) {
            return "SIP";
        }
        if (begin.startsWith("v=0") || begin.startsWith("a=")) {
            return "SDP";
        }
        if (begin.startsWith("<")) {
            return begin.contains("jabber:") || begin.contains("genesys") ? "XMPP" : "XML";
        }
        if (begin.startsWith("{") || begin.startsWith("[")) {
            return begin.contains("\\\\r\\\\n") || begin.contains("\\\\n") ? "JSON in JSON" : "JSON";
        }
        if (begin.matches("(?s)\\d{1,3}(/[^,]*,)?\\d*[\\[{].*")) {
            return "Socket.IO";
        }
        if (begin.matches("(?s)(SEND|MESSAGE|SUBSCRIBE)\\r?\\n.*")) {
            return "STOMP";
        }
        return begin.contains("%3D0%0") || begin.contains("%3d0%0") ? "form" : "text";
    }

    private static String decoded(String base64) {
        String text = base64.replace('-', '+').replace('_', '/');
        try {
            return new String(Base64.getDecoder().decode(text.substring(0, text.length() - text.length() % BASE64_QUANTUM)),
                    StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            // Letters that are no base64 after all.
            return null;
        }
    }
}
