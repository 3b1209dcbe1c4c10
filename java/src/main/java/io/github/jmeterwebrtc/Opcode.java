package io.github.jmeterwebrtc;

/** Frame opcodes of RFC 6455 section 5.2. */
public enum Opcode {
    /** A further fragment of a message (0). */
    CONTINUATION(0),
    /** UTF-8 text (1). */
    TEXT(1),
    /** Binary data (2). */
    BINARY(2),
    /** Close (8). */
    CLOSE(8),
    /** Ping (9). */
    PING(9),
    /** Pong (10). */
    PONG(10);

    private static final Opcode[] ALL = values();

    private final int wire;

    Opcode(int wire) {
        this.wire = wire;
    }

    /**
     * The four bits on the wire.
     *
     * @return 0, 1, 2, 8, 9 or 10
     */
    public int wire() {
        return wire;
    }

    static Opcode of(int wire) {
        for (Opcode opcode : ALL) {
            if (opcode.wire == wire) {
                return opcode;
            }
        }
        throw new IllegalArgumentException("opcode: '" + wire + "' is not usable: RFC 6455 defines 0, 1, 2, 8, 9 and 10");
    }
}
