package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Frames in the words that messages, and the assertions on them, have always had. Pure. */
final class FrameWords {
    private static final int SHOWN_BYTES = 16;
    private static final int STATUS_BYTES = 2;

    private FrameWords() {
    }

    /** The type as in {@code unexpected frame type (…)}. */
    static String type(Opcode opcode, boolean isFinal) {
        switch (opcode) {
            case CONTINUATION:
                return isFinal ? "final continuation" : "continuation";
            case TEXT:
            case BINARY:
                return (isFinal ? "" : "non-final ") + opcode.name().toLowerCase(Locale.ROOT);
            default:
                return opcode.name().toLowerCase(Locale.ROOT);
        }
    }

    /** The frame as in {@code Received: …}; a continuation has the kind of its message. */
    static String of(Opcode kind, byte[] payload) {
        switch (kind) {
            case TEXT:
                return "Text frame with text '" + utf8(payload) + "'";
            case BINARY:
                return payload.length == 0
                        ? "Binary frame, empty payload"
                        : "Binary frame, payload (length " + payload.length + "): "
                                + HexBytes.format(payload, SHOWN_BYTES);
            case CLOSE:
                return "Close frame with status code " + closeStatus(payload) + " and close reason '"
                        + closeReason(payload) + "'";
            default:
                return (kind == Opcode.PING ? "Ping" : "Pong") + " frame with " + (payload.length == 0
                        ? "no application data"
                        : "application data '" + utf8(payload) + "'");
        }
    }

    /** Status of a close frame as a signed number; null when it has none. */
    static Integer closeStatus(byte[] payload) {
        return payload.length < STATUS_BYTES ? null : Integer.valueOf((short) (payload[0] << 8 | payload[1] & 0xff));
    }

    /** Reason of a close frame; null when it has none. */
    static String closeReason(byte[] payload) {
        return payload.length <= STATUS_BYTES
                ? null
                : new String(payload, STATUS_BYTES, payload.length - STATUS_BYTES, StandardCharsets.UTF_8);
    }

    private static String utf8(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
