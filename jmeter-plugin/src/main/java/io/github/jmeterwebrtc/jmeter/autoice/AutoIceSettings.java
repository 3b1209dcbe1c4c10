package io.github.jmeterwebrtc.jmeter.autoice;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.config.WebRtcDefaults;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceMode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import java.util.Collections;
import java.util.List;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.JMeterProperty;
import org.apache.jmeter.testelement.property.PropertyIterator;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterThread;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.threads.SamplePackage;
import org.apache.jmeter.util.JMeterUtils;

/**
 * The engine's configuration of Auto ICE for one sampler, from the elements in its scope and from JMeter properties.
 *
 * <p>{@link AutoIceMode#PROPERTY} goes before the element, so that the command line can always switch off; the innermost
 * {@link AutoIce} counts alone; {@link WebRtcDefaults} are merged field by field, and without ICE servers there
 * {@value #ICE_SERVERS} has them. Only what is set is handed to the engine.
 */
public final class AutoIceSettings {
    /** JMeter property: W3C {@code RTCIceServer} objects, a JSON array, where no WebRTC Defaults in scope has any. */
    public static final String ICE_SERVERS = "webrtc.ice_servers";

    private static final String CONFIG = "CONFIG";
    private static final String FIRST_RTP = "firstRtpTimeoutMs";
    private static final long MAX_WAIT_MS = 60_000;
    private static final long GATHER_WAIT_MS = 500;
    private static final long ANSWER_WAIT_MS = 2_000;
    /** What a deadline leaves for making a session beyond the waits, ms. */
    private static final long MARGIN_MS = 5_000;

    private final ObjectNode config;
    private final long deadlineMs;

    private AutoIceSettings(ObjectNode config, long deadlineMs) {
        this.config = config;
        this.deadlineMs = deadlineMs;
    }

    /**
     * Those of a socket that is about to be opened.
     *
     * @param byDefault whether there is Auto ICE without an element in scope and without the property
     * @param context the JMeter context of the sampler
     * @return null = no Auto ICE
     * @throws InvalidElementException naming field or property and value
     */
    public static AutoIceSettings ofSocket(boolean byDefault, JMeterContext context) throws InvalidElementException {
        AutoIce element = innermost(context);
        AutoIceMode mode = AutoIceMode.ofProperty();
        if (mode == null) {
            mode = element == null ? (byDefault ? AutoIceMode.ON : AutoIceMode.OFF) : element.mode();
        }
        return mode == AutoIceMode.OFF ? null : of(mode, element, context);
    }

    /** Those of the messages of other samplers; null = they stay as they are. */
    static AutoIceSettings ofElement(AutoIce element, JMeterContext context) throws InvalidElementException {
        AutoIceMode property = AutoIceMode.ofProperty();
        AutoIceMode mode = property == null ? element.mode() : property;
        return mode == AutoIceMode.OFF ? null : of(mode, element, context);
    }

    /**
     * Those of calls that functions make: they are asked for by name, so the mode does not matter.
     *
     * @param context the JMeter context of the thread
     * @return never null
     * @throws InvalidElementException naming field or property and value
     */
    public static AutoIceSettings ofFunctions(JMeterContext context) throws InvalidElementException {
        return of(AutoIceMode.ON, innermost(context), context);
    }

    /** The innermost element in the scope of the sampler in progress; null when there is none. */
    static AutoIce innermost(JMeterContext context) {
        for (ConfigTestElement config : configs(context)) {
            if (config instanceof AutoIce) {
                return (AutoIce) config;
            }
        }
        return null;
    }

    /**
     * The engine's configuration.
     *
     * @return {@code {"mode","overlay","dialogField","gatherWaitMs","answerWaitMs","firstRtpTimeoutMs","session"}}, as far as set
     */
    public ObjectNode config() {
        return config;
    }

    /** How long one message may take, ms. */
    public long deadlineMs() {
        return deadlineMs;
    }

    private static AutoIceSettings of(AutoIceMode mode, AutoIce element, JMeterContext context)
            throws InvalidElementException {
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.put("mode", mode.word());
        long gatherMs = GATHER_WAIT_MS;
        long answerMs = ANSWER_WAIT_MS;
        if (element != null) {
            if (element.getOverlay()) {
                config.put("overlay", true);
            }
            if (!element.getDialogField().isEmpty()) {
                config.put("dialogField", element.getDialogField());
            }
            gatherMs = wait(config, "gatherWait", element.getGatherWait(), GATHER_WAIT_MS);
            answerMs = wait(config, "answerWait", element.getAnswerWait(), ANSWER_WAIT_MS);
        }
        ObjectNode call = call(context);
        if (call.has(FIRST_RTP)) {
            config.set(FIRST_RTP, call.get(FIRST_RTP));
        }
        config.set("session", call.get("session"));
        return new AutoIceSettings(config, gatherMs + answerMs + MARGIN_MS);
    }

    private static long wait(ObjectNode config, String field, String value, long absent) throws InvalidElementException {
        long millis;
        try {
            millis = Setting.number(field, value, 0, MAX_WAIT_MS, absent);
        } catch (InvalidElementException e) {
            throw new InvalidElementException(CONFIG, e.getMessage());
        }
        if (!value.isEmpty()) {
            config.put(field + "Ms", millis);
        }
        return millis;
    }

    /** What WebRTC Defaults in scope say about calls. */
    private static ObjectNode call(JMeterContext context) throws InvalidElementException {
        TestElement merged = new ConfigTestElement();
        for (ConfigTestElement config : configs(context)) {
            if (config instanceof WebRtcDefaults) {
                merge((WebRtcDefaults) config, merged);
            }
        }
        boolean ofProperty = merged.getPropertyAsString(WebRtcDefaults.ICE_SERVERS).trim().isEmpty();
        if (ofProperty) {
            merged.setProperty(WebRtcDefaults.ICE_SERVERS, JMeterUtils.getPropDefault(ICE_SERVERS, ""));
        }
        try {
            return CallSettings.of(merged).config();
        } catch (InvalidElementException e) {
            throw new InvalidElementException(CONFIG,
                    ofProperty ? e.getMessage().replaceFirst("^iceServers:", ICE_SERVERS + ":") : e.getMessage());
        }
    }

    private static void merge(WebRtcDefaults inner, TestElement merged) {
        PropertyIterator properties = inner.propertyIterator();
        while (properties.hasNext()) {
            JMeterProperty property = properties.next();
            if (property.getName().startsWith(WebRtcDefaults.PREFIX)
                    && merged.getPropertyAsString(property.getName()).trim().isEmpty()) {
                merged.setProperty(property.getName(), property.getStringValue());
            }
        }
    }

    /** Configuration elements in the scope of the sampler in progress, from the innermost. */
    private static List<ConfigTestElement> configs(JMeterContext context) {
        JMeterVariables variables = context.getVariables();
        Object sampled = variables == null ? null : variables.getObject(JMeterThread.PACKAGE_OBJECT);
        return sampled instanceof SamplePackage ? ((SamplePackage) sampled).getConfigs() : Collections.emptyList();
    }
}
