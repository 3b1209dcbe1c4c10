package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.Opcode;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Discards binary frames by their bytes.
 *
 * <p>A value that is no hexadecimal number is logged and counts as no bytes, which nothing contains and everything starts
 * with; a position that is no number counts as none.
 */
public class BinaryFrameFilter extends FrameFilter {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(BinaryFrameFilter.class);

    /** One of {@link Comparison#ofBytes()} (default IsPlain). */
    public static final String COMPARISON_TYPE = "comparisonType";
    /** Bytes in hexadecimal, see {@link HexBytes} (default empty). */
    public static final String MATCH_VALUE = "matchValue";
    /** For Contains and NotContains: the offset of the value, from 0 (default empty = anywhere). */
    public static final String MATCH_POSITION = "matchPosition";

    @Override
    public Rule rule() {
        Comparison comparison = getComparisonType();
        if (comparison == Comparison.IsPlain) {
            return (kind, payload) -> kind == Opcode.BINARY;
        }
        Predicate<byte[]> discarded = discarded(comparison, value(), getMatchPosition());
        return (kind, payload) -> kind == Opcode.BINARY && discarded.test(payload);
    }

    private byte[] value() {
        String text = getMatchValue();
        try {
            return HexBytes.parse(text);
        } catch (NumberFormatException e) {
            LOG.error("Binary frame filter '{}': match value '{}' is not hexadecimal: {}", getName(), text, e.getMessage());
            return new byte[0];
        }
    }

    private static Predicate<byte[]> discarded(Comparison comparison, byte[] value, String position) {
        switch (comparison) {
            case Contains:
                return found(value, position);
            case NotContains:
                return found(value, position).negate();
            case Equals:
                return bytes -> ByteSequence.equal(bytes, value);
            case NotEquals:
                return bytes -> !ByteSequence.equal(bytes, value);
            case StartsWith:
                return bytes -> ByteSequence.isAt(bytes, value, 0);
            case NotStartsWith:
                return bytes -> !ByteSequence.isAt(bytes, value, 0);
            case EndsWith:
                return bytes -> ByteSequence.endsWith(bytes, value);
            case NotEndsWith:
                return bytes -> !ByteSequence.endsWith(bytes, value);
            default:
                return bytes -> {
                    throw new UnsupportedOperationException("unknown comparison type");
                };
        }
    }

    private static Predicate<byte[]> found(byte[] value, String position) {
        try {
            int offset = Integer.parseInt(position);
            return bytes -> value.length > 0 && ByteSequence.isAt(bytes, value, offset);
        } catch (NumberFormatException e) {
            if (!position.isEmpty()) {
                LOG.error("Match position '{}' is no whole number; looking anywhere", position);
            }
            return bytes -> ByteSequence.contains(bytes, value);
        }
    }

    /** @return {@link #COMPARISON_TYPE}; throws {@link IllegalArgumentException} when it is none of them */
    public Comparison getComparisonType() {
        String type = getPropertyAsString(COMPARISON_TYPE);
        return type.isEmpty() ? Comparison.IsPlain : Comparison.valueOf(type);
    }

    /** @param type {@link #COMPARISON_TYPE} */
    public void setComparisonType(Comparison type) {
        setProperty(COMPARISON_TYPE, type.name());
    }

    /** @return {@link #MATCH_VALUE} */
    public String getMatchValue() {
        return getPropertyAsString(MATCH_VALUE);
    }

    /** @param value {@link #MATCH_VALUE} */
    public void setMatchValue(String value) {
        setProperty(MATCH_VALUE, value);
    }

    /** @return {@link #MATCH_POSITION} */
    public String getMatchPosition() {
        return getPropertyAsString(MATCH_POSITION);
    }

    /** @param position {@link #MATCH_POSITION} */
    public void setMatchPosition(String position) {
        setProperty(MATCH_POSITION, position);
    }
}
