package io.github.jmeterwebrtc;

import java.nio.charset.StandardCharsets;

/** One frame as it was on the wire (RFC 6455 section 5.2), with the times of its arrival taken in the engine. */
public final class Frame {
    private final Opcode opcode;
    private final boolean isFinal;
    private final int headerBytes;
    private final long wirePayloadBytes;
    private final long waitedNanos;
    private final long ageNanos;
    private final long arrivingMicros;
    private final byte[] payload;

    Frame(Opcode opcode, boolean isFinal, int headerBytes, long wirePayloadBytes, long waitedNanos, long ageNanos,
            long arrivingMicros, byte[] payload) {
        this.opcode = opcode;
        this.isFinal = isFinal;
        this.headerBytes = headerBytes;
        this.wirePayloadBytes = wirePayloadBytes;
        this.waitedNanos = waitedNanos;
        this.ageNanos = ageNanos;
        this.arrivingMicros = arrivingMicros;
        this.payload = payload;
    }

    /**
     * What kind of frame it is.
     *
     * @return the opcode
     */
    public Opcode opcode() {
        return opcode;
    }

    /**
     * The FIN bit.
     *
     * @return whether the message ends with this frame
     */
    public boolean isFinal() {
        return isFinal;
    }

    /**
     * The payload, unmasked, and inflated if the message was compressed.
     *
     * @return the frame's own array, not a copy
     */
    public byte[] payload() {
        return payload;
    }

    /**
     * The payload read as UTF-8; malformed bytes become U+FFFD.
     *
     * @return the text
     */
    public String text() {
        return new String(payload, StandardCharsets.UTF_8);
    }

    /**
     * Size of the frame's header.
     *
     * @return bytes on the wire, 2 to 14
     */
    public int headerBytes() {
        return headerBytes;
    }

    /**
     * Size of the payload on the wire, before it was inflated.
     *
     * @return bytes
     */
    public long wirePayloadBytes() {
        return wirePayloadBytes;
    }

    /**
     * Time from the start of the call to the arrival of the frame's last byte.
     *
     * @return nanoseconds; 0 when the frame was queued already
     */
    public long waitedNanos() {
        return waitedNanos;
    }

    /**
     * Time from the arrival of the frame's last byte to the end of the call.
     *
     * @return nanoseconds
     */
    public long ageNanos() {
        return ageNanos;
    }

    /**
     * Time from the arrival of the frame's first byte to that of its last.
     *
     * @return microseconds; 0 when all of it came at once
     */
    public long arrivingMicros() {
        return arrivingMicros;
    }
}
