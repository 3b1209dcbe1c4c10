package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.Opcode;

/** Discards ping and pong frames, and can answer pings. */
public class PingFrameFilter extends FrameFilter {
    private static final long serialVersionUID = 1L;

    /** {@code true} = a discarded ping is answered (boolProp, default false). */
    public static final String REPLY_TO_PING = "replyToPing";
    /** One of {@link FilterType} (default FilterAll). */
    public static final String FILTER_TYPE = "filterType";

    /** Which frames are discarded. The names are in plan files. */
    public enum FilterType {
        /** Pings and pongs. */
        FilterAll,
        /** Pings. */
        FilterPingOnly,
        /** Pongs. */
        FilterPongOnly
    }

    @Override
    public Rule rule() {
        boolean reply = getReplyToPing();
        return new Rule() {
            /** Read when the first frame comes: a type that is none is an error only then. */
            private FilterType type;

            @Override
            public boolean discards(Opcode kind, byte[] payload) {
                if (type == null) {
                    type = getFilterType();
                }
                return kind == Opcode.PING && type != FilterType.FilterPongOnly
                        || kind == Opcode.PONG && type != FilterType.FilterPingOnly;
            }

            @Override
            public boolean repliesToPing() {
                return reply;
            }
        };
    }

    /** @return {@link #REPLY_TO_PING} */
    public boolean getReplyToPing() {
        return getPropertyAsBoolean(REPLY_TO_PING);
    }

    /** @param reply {@link #REPLY_TO_PING} */
    public void setReplyToPing(boolean reply) {
        setProperty(REPLY_TO_PING, reply);
    }

    /** @return {@link #FILTER_TYPE}; throws {@link IllegalArgumentException} when it is none of them */
    public FilterType getFilterType() {
        String type = getPropertyAsString(FILTER_TYPE);
        return type.isEmpty() ? FilterType.FilterAll : FilterType.valueOf(type);
    }

    /** @param type {@link #FILTER_TYPE} */
    public void setFilterType(FilterType type) {
        setProperty(FILTER_TYPE, type.name());
    }
}
