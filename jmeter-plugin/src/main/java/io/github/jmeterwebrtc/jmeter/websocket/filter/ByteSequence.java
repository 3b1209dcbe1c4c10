package io.github.jmeterwebrtc.jmeter.websocket.filter;

import java.util.Arrays;

/** Comparisons of byte sequences. Pure. */
public final class ByteSequence {
    private ByteSequence() {
    }

    /**
     * Whether {@code part} stands in {@code whole} at an offset.
     *
     * @param whole where to look
     * @param part what to look for
     * @param offset from 0; false where it does not fit; a negative one throws {@link ArrayIndexOutOfBoundsException}
     * @return true when all bytes are equal
     */
    public static boolean isAt(byte[] whole, byte[] part, int offset) {
        if (offset + part.length > whole.length) {
            return false;
        }
        for (int i = 0; i < part.length; i++) {
            if (whole[offset + i] != part[i]) {
                return false;
            }
        }
        return true;
    }

    /**
     * Whether {@code part} stands anywhere in {@code whole}.
     *
     * @param whole where to look
     * @param part what to look for; nothing contains an empty sequence
     * @return true when found
     */
    public static boolean contains(byte[] whole, byte[] part) {
        for (int i = 0; part.length > 0 && i + part.length <= whole.length; i++) {
            if (isAt(whole, part, i)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Whether {@code whole} ends with {@code part}.
     *
     * @param whole where to look
     * @param part what to look for
     * @return true when it does
     */
    public static boolean endsWith(byte[] whole, byte[] part) {
        return part.length <= whole.length && isAt(whole, part, whole.length - part.length);
    }

    /**
     * Equality.
     *
     * @param one one sequence
     * @param other another
     * @return true when both have the same bytes
     */
    public static boolean equal(byte[] one, byte[] other) {
        return Arrays.equals(one, other);
    }
}
