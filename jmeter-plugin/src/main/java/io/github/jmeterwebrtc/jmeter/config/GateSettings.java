package io.github.jmeterwebrtc.jmeter.config;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.util.JMeterUtils;

/**
 * The start gate's settings as the engine wants them, under {@code gate} in the configuration of a WebSocket or a call.
 *
 * <p>A field of {@link WebRtcDefaults} goes before the JMeter property; without either there is no gate. Starts with the same
 * values share a gate within one JMeter, WebSockets and calls each for themselves.
 */
public final class GateSettings {
    /** JMeter property: handshakes at once (default 0 = any number). */
    public static final String IN_FLIGHT = "webrtc.gate.inFlight";
    /** JMeter property: handshakes begun per second (default 0 = any number). */
    public static final String STARTS_PER_SECOND = "webrtc.gate.startsPerSecond";
    /** JMeter property: whether {@code Retry-After} of a refused upgrade holds later ones back (default false). */
    public static final String RETRY_AFTER = "webrtc.gate.retryAfter";

    private static final long MOST = 1_000_000;

    private GateSettings() {
    }

    /**
     * Puts the gate of a call into its configuration.
     *
     * @param config the configuration; nothing is put where there is no gate
     * @param element the sampler with the merged {@link WebRtcDefaults}
     * @throws InvalidElementException naming field or property and value
     */
    public static void put(ObjectNode config, TestElement element) throws InvalidElementException {
        put(config,
                chosen("gateInFlight", element, WebRtcDefaults.GATE_IN_FLIGHT, IN_FLIGHT),
                chosen("gateStartsPerSecond", element, WebRtcDefaults.GATE_STARTS_PER_SECOND, STARTS_PER_SECOND),
                chosen("gateRetryAfter", element, WebRtcDefaults.GATE_RETRY_AFTER, RETRY_AFTER));
    }

    /**
     * Puts the gate of a WebSocket, which only the JMeter properties set, into its configuration.
     *
     * @param config the configuration; nothing is put where there is no gate
     * @throws InvalidElementException naming property and value
     */
    public static void putOfProperties(ObjectNode config) throws InvalidElementException {
        put(config, property(IN_FLIGHT), property(STARTS_PER_SECOND), property(RETRY_AFTER));
    }

    private static void put(ObjectNode config, Value inFlight, Value startsPerSecond, Value retryAfter)
            throws InvalidElementException {
        ObjectNode gate = JsonNodeFactory.instance.objectNode();
        long places = Setting.number(inFlight.name, inFlight.text, 0, MOST, 0);
        if (places > 0) {
            gate.put("inFlight", places);
        }
        Double rate = Setting.decimal(startsPerSecond.name, startsPerSecond.text);
        if (rate != null && rate > MOST) {
            throw new InvalidElementException(
                    startsPerSecond.name + ": '" + startsPerSecond.text + "' is not between 0 and " + MOST);
        }
        if (rate != null && rate > 0) {
            gate.put("startsPerSecond", rate);
        }
        if (Boolean.TRUE.equals(Setting.flag(retryAfter.name, retryAfter.text))) {
            gate.put("retryAfter", true);
        }
        if (!gate.isEmpty()) {
            config.set("gate", gate);
        }
    }

    private static Value chosen(String field, TestElement element, String elementProperty, String jmeterProperty) {
        String text = element.getPropertyAsString(elementProperty).trim();
        return text.isEmpty() ? property(jmeterProperty) : new Value(field, text);
    }

    private static Value property(String name) {
        return new Value(name, JMeterUtils.getPropDefault(name, "").trim());
    }

    /** A setting's text, and what a message calls it. */
    private static final class Value {
        private final String name;
        private final String text;

        Value(String name, String text) {
            this.name = name;
            this.text = text;
        }
    }
}
