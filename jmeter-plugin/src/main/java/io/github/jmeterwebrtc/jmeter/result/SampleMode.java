package io.github.jmeterwebrtc.jmeter.result;

import java.util.Locale;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which samples a call makes: JMeter property {@code webrtc.samples}. */
public enum SampleMode {
    /** One sample per call, and one for a call that is lost (the default). */
    CONNECT,
    /** As {@link #CONNECT}, with one sub-result per phase; dashboards count sub-results as samples of their own. */
    PHASES,
    /** Only the samples of samplers in the plan: nothing for a call that is lost. */
    NONE;

    private static final Logger LOG = LoggerFactory.getLogger(SampleMode.class);

    /**
     * Reads {@code webrtc.samples}.
     *
     * @return {@link #CONNECT} when it is absent or not one of connect, phases, none (which is logged)
     */
    public static SampleMode ofProperties() {
        String value = JMeterUtils.getPropDefault("webrtc.samples", "connect");
        try {
            return valueOf(value.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            LOG.warn("webrtc.samples={} is not one of connect, phases, none; using connect", value);
            return CONNECT;
        }
    }
}
