package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import java.util.Collection;
import java.util.EnumSet;

/** The fields of the filters. */
public final class FilterForms {
    private FilterForms() {
    }

    /**
     * Fields of {@link PingFrameFilter}.
     *
     * @return a new form
     */
    public static ElementForm ping() {
        return new ElementForm().section("Filter")
                .choice(PingFrameFilter.FILTER_TYPE, "Discard:", names(EnumSet.allOf(PingFrameFilter.FilterType.class)),
                        "Pings and pongs, or only one of them")
                .check(PingFrameFilter.REPLY_TO_PING, "Answer pings with a pong", false,
                        "A pong with the same application data");
    }

    /**
     * Fields of {@link TextFrameFilter}.
     *
     * @return a new form
     */
    public static ElementForm text() {
        return new ElementForm().section("Discard text frames when the text")
                .choice(TextFrameFilter.COMPARISON_TYPE, "Comparison:", names(EnumSet.allOf(Comparison.class)),
                        "IsPlain discards every text frame; Not… discards those that do not")
                .text(TextFrameFilter.MATCH_VALUE, "Text or regular expression:", "", "Compared with the whole frame");
    }

    /**
     * Fields of {@link BinaryFrameFilter}.
     *
     * @return a new form
     */
    public static ElementForm binary() {
        return new ElementForm().section("Discard binary frames when the bytes")
                .choice(BinaryFrameFilter.COMPARISON_TYPE, "Comparison:", names(Comparison.ofBytes()),
                        "IsPlain discards every binary frame; Not… discards those that do not")
                .text(BinaryFrameFilter.MATCH_VALUE, "Bytes (hexadecimal):", "", "0x01 0x02, or 0102")
                .text(BinaryFrameFilter.MATCH_POSITION, "At position:", "",
                        "Contains and NotContains only: offset from 0; empty = anywhere");
    }

    private static String[] names(Collection<? extends Enum<?>> values) {
        return values.stream().map(Enum::name).toArray(String[]::new);
    }
}
