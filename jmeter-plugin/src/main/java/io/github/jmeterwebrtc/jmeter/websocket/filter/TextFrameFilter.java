package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.Opcode;
import java.nio.charset.StandardCharsets;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** Discards text frames by their text. */
public class TextFrameFilter extends FrameFilter {
    private static final long serialVersionUID = 1L;

    /** One of {@link Comparison} (default IsPlain). */
    public static final String COMPARISON_TYPE = "comparisonType";
    /** Text, or a regular expression of {@link Pattern} (default empty). */
    public static final String MATCH_VALUE = "matchValue";

    @Override
    public Rule rule() {
        Predicate<String> discarded = discarded(getComparisonType(), getMatchValue());
        return (kind, payload) -> kind == Opcode.TEXT && discarded.test(new String(payload, StandardCharsets.UTF_8));
    }

    private static Predicate<String> discarded(Comparison comparison, String value) {
        switch (comparison) {
            case Contains:
                return text -> text.contains(value);
            case NotContains:
                return text -> !text.contains(value);
            case Equals:
                return text -> text.equals(value);
            case NotEquals:
                return text -> !text.equals(value);
            case StartsWith:
                return text -> text.startsWith(value);
            case NotStartsWith:
                return text -> !text.startsWith(value);
            case EndsWith:
                return text -> text.endsWith(value);
            case NotEndsWith:
                return text -> !text.endsWith(value);
            case ContainsRegex:
                return Pattern.compile(value).asPredicate();
            case NotContainsRegex:
                return Pattern.compile(value).asPredicate().negate();
            case EqualsRegex:
                Pattern whole = Pattern.compile(value);
                return text -> whole.matcher(text).matches();
            case NotEqualsRegex:
                Pattern other = Pattern.compile(value);
                return text -> !other.matcher(text).matches();
            default:
                return text -> true;
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
}
