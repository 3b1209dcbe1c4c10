package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.Opcode;
import org.apache.jmeter.config.ConfigTestElement;

/**
 * A configuration element that discards frames which a test is not interested in.
 *
 * <p>All filters in the scope of a sampler see a frame from the outermost to the innermost, until one discards it; what
 * none discards reaches the sampler. A discarded frame becomes a sub-result. Filters are asked only while a sampler
 * reads; they hold nothing but their properties.
 */
public abstract class FrameFilter extends ConfigTestElement {
    private static final long serialVersionUID = 1L;

    /**
     * Reads the properties once for a sample.
     *
     * @return what decides about each frame of the sample
     */
    public abstract Rule rule();

    /** The decision about frames, with the properties as they were when the sample began. */
    public interface Rule {
        /**
         * Whether a frame is discarded.
         *
         * @param kind TEXT or BINARY for data frames (a continuation has the kind of its message), else the opcode
         * @param payload the frame's payload, inflated
         * @return true = the sampler does not see it
         */
        boolean discards(Opcode kind, byte[] payload);

        /**
         * Whether a discarded ping is answered by a pong with the same application data.
         *
         * @return false for all but ping filters that want it
         */
        default boolean repliesToPing() {
            return false;
        }
    }
}
