package io.github.jmeterwebrtc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Memory outside of the heap in which a small frame goes into the engine and the next one comes back, and the numbers about
 * them. Every thread has its own, from its first frame on: an array would cost several calls of JNI each way. What is longer than
 * {@link #PAYLOAD_BYTES} crosses as an array.
 *
 * <p>Shape, in the byte order of the machine: bytes sent (8, at 0; 0 = nothing), ns until they were with the kernel (8), opcode of
 * the frame that came (1), FIN (1), nothing (2), bytes of its header (4), of its payload on the wire (8), ns waited (8), ns
 * since the arrival (8), bytes of its payload here (4), µs from its first byte to its last (4), payload.
 */
final class FrameMemory {
    /** Size in bytes; the native side relies on it. */
    static final int BYTES = 1 << 10;
    /** The longest payload that fits, in bytes. */
    static final int PAYLOAD_BYTES = BYTES - FrameMemory.HEAD;

    private static final int HEAD = 56;
    private static final ThreadLocal<FrameMemory> OF_THREAD = ThreadLocal.withInitial(FrameMemory::new);

    private final ByteBuffer memory = ByteBuffer.allocateDirect(BYTES).order(ByteOrder.nativeOrder());
    private final long address = Native.addressOf(memory);

    private FrameMemory() {}

    /** The memory of the calling thread, which stays where it is as long as the thread lives. */
    static FrameMemory ofThread() {
        return OF_THREAD.get();
    }

    /** For native functions of the calling thread. */
    long address() {
        return address;
    }

    /**
     * Takes a payload in for sending.
     *
     * @return null; the payload itself where it is too long
     */
    byte[] outgoing(byte[] payload) {
        if (payload.length > PAYLOAD_BYTES) {
            return payload;
        }
        memory.position(HEAD);
        memory.put(payload);
        return null;
    }

    /** Before sending: nothing was sent yet. */
    void clearSent() {
        memory.putLong(0, 0);
    }

    /** What sending did; null when nothing was sent. */
    Sent sent() {
        long bytes = memory.getLong(0);
        return bytes == 0 ? null : new Sent(bytes, memory.getLong(8));
    }

    /**
     * The frame that came.
     *
     * @param payload null when the payload lies here
     */
    Frame received(byte[] payload) {
        byte[] own = payload;
        if (own == null) {
            own = new byte[memory.getInt(48)];
            memory.position(HEAD);
            memory.get(own);
        }
        return new Frame(Opcode.of(memory.get(16)), memory.get(17) != 0, memory.getInt(20), memory.getLong(24), memory.getLong(32),
                memory.getLong(40), Integer.toUnsignedLong(memory.getInt(52)), own);
    }
}
