package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;

/** A frame with the kind it has for a reader. Immutable. */
final class Received {
    private final Frame frame;
    private final Opcode kind;

    Received(Frame frame, Opcode kind) {
        this.frame = frame;
        this.kind = kind;
    }

    /** TEXT or BINARY for data frames, the opcode otherwise. */
    Opcode kind() {
        return kind;
    }

    boolean isFinal() {
        return frame.isFinal();
    }

    byte[] payload() {
        return frame.payload();
    }

    long headerBytes() {
        return frame.headerBytes();
    }

    /** On the wire, before it was inflated. */
    long bodyBytes() {
        return frame.wirePayloadBytes();
    }

    String type() {
        return FrameWords.type(frame.opcode(), frame.isFinal());
    }

    String words() {
        return FrameWords.of(kind, frame.payload());
    }
}
