package io.github.jmeterwebrtc.jmeter.plan;

import java.util.Locale;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What Auto ICE does with session descriptions in messages: {@code webrtc.auto_ice} (JMeter property). */
public enum AutoIceMode {
    /** Live ones take their place. */
    ON,
    /** They stay as they are, and the log says what would take their place. */
    REPORT,
    /** They stay as they are, and nobody looks at them. */
    OFF;

    /** JMeter property: {@code on}, {@code report} or {@code off}; without it what the element or the kind of plan says. */
    public static final String PROPERTY = "webrtc.auto_ice";

    private static final Logger LOG = LoggerFactory.getLogger(AutoIceMode.class);

    /**
     * The mode that the property says.
     *
     * @return null when it is not set; {@link #OFF} when it cannot be understood, which is logged
     */
    public static AutoIceMode ofProperty() {
        String value = JMeterUtils.getPropDefault(PROPERTY, "").trim();
        if (value.isEmpty()) {
            return null;
        }
        AutoIceMode mode = of(value);
        if (mode == null) {
            LOG.error("{}: '{}' is not on, report or off; using off", PROPERTY, value);
            return OFF;
        }
        return mode;
    }

    /**
     * The mode of a word.
     *
     * @param value {@code on}, {@code report} or {@code off}
     * @return null for another word
     */
    public static AutoIceMode of(String value) {
        for (AutoIceMode mode : values()) {
            if (mode.word().equals(value)) {
                return mode;
            }
        }
        return null;
    }

    /**
     * The word for it.
     *
     * @return as in properties, elements and the engine's configuration
     */
    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}
