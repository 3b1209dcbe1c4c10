package io.github.jmeterwebrtc;

/** What sending one frame did. */
public final class Sent {
    private final int bytes;
    private final long nanos;

    Sent(long bytes, long nanos) {
        this.bytes = Math.toIntExact(bytes);
        this.nanos = nanos;
    }

    /**
     * Header and payload.
     *
     * @return bytes on the wire
     */
    public int bytes() {
        return bytes;
    }

    /**
     * Time from the start of the call until the last byte was with the kernel.
     *
     * @return nanoseconds
     */
    public long nanos() {
        return nanos;
    }
}
