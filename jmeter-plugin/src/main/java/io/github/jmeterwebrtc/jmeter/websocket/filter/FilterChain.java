package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.Opcode;
import java.util.List;

/**
 * The filters that one read goes through, from the outermost to the innermost.
 *
 * <p>A filter's properties are read once, before the first frame is, from the innermost to the outermost. Used by one
 * thread for one sample.
 */
public final class FilterChain {
    private static final FrameFilter.Rule[] NONE = new FrameFilter.Rule[0];

    private final List<FrameFilter> filters;
    private final FrameFilter.Rule[] rules;

    /**
     * The filters of a sample.
     *
     * @param filters outermost first
     * @throws IllegalArgumentException for a filter that cannot be used
     */
    public FilterChain(List<FrameFilter> filters) {
        this.filters = filters;
        rules = filters.isEmpty() ? NONE : new FrameFilter.Rule[filters.size()];
        for (int i = rules.length - 1; i >= 0; i--) {
            rules[i] = filters.get(i).rule();
        }
    }

    /**
     * Whether every frame reaches the sampler.
     *
     * @return whether there are no filters
     */
    public boolean isEmpty() {
        return rules.length == 0;
    }

    /**
     * The first filter that discards a frame.
     *
     * @param kind TEXT or BINARY for data frames, the opcode otherwise
     * @param payload the frame's payload
     * @return null when the frame reaches the sampler
     */
    public Match discarding(Opcode kind, byte[] payload) {
        for (int i = 0; i < rules.length; i++) {
            if (rules[i].discards(kind, payload)) {
                return new Match(filters.get(i).getName(), rules[i].repliesToPing());
            }
        }
        return null;
    }

    /** A filter that has discarded a frame. Immutable. */
    public static final class Match {
        private final String filter;
        private final boolean replies;

        Match(String filter, boolean replies) {
            this.filter = filter;
            this.replies = replies;
        }

        /**
         * Whether a ping is to be answered.
         *
         * @return see {@link FrameFilter.Rule#repliesToPing()}
         */
        public boolean replies() {
            return replies;
        }

        /**
         * The label of the sub-result.
         *
         * @param type type of the frame, in words
         * @return names the filter
         */
        public String label(String type) {
            return "Discarded " + type + " frame (by filter '" + filter + "')";
        }
    }
}
