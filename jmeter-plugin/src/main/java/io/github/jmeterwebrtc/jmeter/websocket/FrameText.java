package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Frames in words, as results and assertions of existing plans have them. Pure. */
final class FrameText {
    private static final int SHOWN_BYTES = 16;

    private FrameText() {
    }

    /** The type as in "unexpected frame type (…)". */
    static String typeName(Frame frame) {
        return typeName(frame.opcode(), frame.isFinal());
    }

    static String typeName(Opcode opcode, boolean isFinal) {
        boolean control = opcode == Opcode.PING || opcode == Opcode.PONG || opcode == Opcode.CLOSE;
        String name = opcode.name().toLowerCase(Locale.ROOT);
        return control || isFinal ? name : "non-final " + name;
    }

    /** The frame as in "Received: …". */
    static String describe(Frame frame) {
        return describe(frame.opcode(), frame.isFinal(), frame.payload());
    }

    static String describe(Opcode opcode, boolean isFinal, byte[] payload) {
        switch (opcode) {
            case TEXT:
                return (isFinal ? "Text" : "Non-final text") + " frame with text '" + utf8(payload, 0) + "'";
            case BINARY:
                return (isFinal ? "Binary" : "Non-final binary") + " frame, payload (length " + payload.length + "): "
                        + hex(payload, SHOWN_BYTES);
            case CONTINUATION:
                return (isFinal ? "Final" : "Non-final") + " continuation frame, payload (length " + payload.length + "): "
                        + hex(payload, SHOWN_BYTES);
            case PING:
                return "Ping frame with " + applicationData(payload);
            case PONG:
                return "Pong frame with " + applicationData(payload);
            default:
                return "Close frame with status code " + closeStatus(payload) + " and close reason '"
                        + closeReason(payload) + "'";
        }
    }

    /** Bytes as {@code 0x.. 0x..}, at most {@code limit} of them, then {@code ...}. */
    static String hex(byte[] bytes, int limit) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < Math.min(bytes.length, limit); i++) {
            text.append(i == 0 ? "" : " ").append(String.format("0x%02x", bytes[i]));
        }
        return bytes.length > limit ? text.append(" ...").toString() : text.toString();
    }

    /** Status of a close frame's payload (RFC 6455 5.5.1); 1005 when it has none (7.1.5). */
    static int closeStatus(byte[] payload) {
        return payload.length < 2 ? 1005 : (payload[0] & 0xff) << 8 | payload[1] & 0xff;
    }

    static String closeReason(byte[] payload) {
        return payload.length < 2 ? "" : utf8(payload, 2);
    }

    private static String applicationData(byte[] payload) {
        return payload.length == 0 ? "no application data" : "application data '" + utf8(payload, 0) + "'";
    }

    private static String utf8(byte[] bytes, int from) {
        return new String(bytes, from, bytes.length - from, StandardCharsets.UTF_8);
    }
}
