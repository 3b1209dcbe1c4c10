package io.github.jmeterwebrtc.jmeter.websocket.filter;

import java.util.EnumSet;
import java.util.Set;

/** How a filter compares a frame with its value; the frame is discarded when it holds. The names are in plan files. */
public enum Comparison {
    /** Every frame of the kind. */
    IsPlain,
    /** The value stands in it. */
    Contains,
    /** The value does not stand in it. */
    NotContains,
    /** It is the value. */
    Equals,
    /** It is not the value. */
    NotEquals,
    /** It starts with the value. */
    StartsWith,
    /** It does not start with the value. */
    NotStartsWith,
    /** It ends with the value. */
    EndsWith,
    /** It does not end with the value. */
    NotEndsWith,
    /** The regular expression is found in it (text only). */
    ContainsRegex,
    /** The regular expression is not found in it (text only). */
    NotContainsRegex,
    /** The regular expression matches all of it (text only). */
    EqualsRegex,
    /** The regular expression does not match all of it (text only). */
    NotEqualsRegex;

    /**
     * The comparisons of binary frames.
     *
     * @return all without regular expressions
     */
    public static Set<Comparison> ofBytes() {
        return EnumSet.complementOf(EnumSet.of(ContainsRegex, NotContainsRegex, EqualsRegex, NotEqualsRegex));
    }
}
