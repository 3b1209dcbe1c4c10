package io.github.jmeterwebrtc.jmeter.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class GateSettingsTest {
    private final ObjectNode config = new ObjectMapper().createObjectNode();
    private final WebRtcDefaults defaults = new WebRtcDefaults();

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void removeProperties() {
        for (String name : new String[] {
            GateSettings.IN_FLIGHT, GateSettings.STARTS_PER_SECOND, GateSettings.RETRY_AFTER}) {
            JMeterUtils.getJMeterProperties().remove(name);
        }
    }

    @Test
    void nothingIsGatedUnlessItIsAskedFor() throws Exception {
        GateSettings.put(config, defaults);
        GateSettings.putOfProperties(config);
        assertFalse(config.has("gate"));
    }

    @Test
    void aFieldGoesBeforeTheProperty() throws Exception {
        JMeterUtils.setProperty(GateSettings.IN_FLIGHT, "64");
        JMeterUtils.setProperty(GateSettings.RETRY_AFTER, "true");
        defaults.setProperty(WebRtcDefaults.GATE_IN_FLIGHT, "8");
        defaults.setProperty(WebRtcDefaults.GATE_STARTS_PER_SECOND, "2.5");
        GateSettings.put(config, defaults);
        assertEquals("{\"inFlight\":8,\"startsPerSecond\":2.5,\"retryAfter\":true}", config.path("gate").toString());
    }

    @Test
    void aFieldOfZeroTurnsThePropertyOff() throws Exception {
        JMeterUtils.setProperty(GateSettings.IN_FLIGHT, "64");
        defaults.setProperty(WebRtcDefaults.GATE_IN_FLIGHT, "0");
        GateSettings.put(config, defaults);
        assertFalse(config.has("gate"));
    }

    @Test
    void badValuesAreRefusedByTheNameOfTheirFieldOrProperty() {
        defaults.setProperty(WebRtcDefaults.GATE_STARTS_PER_SECOND, "1e9");
        String field = assertThrows(InvalidElementException.class, () -> GateSettings.put(config, defaults)).getMessage();
        assertTrue(field.startsWith("gateStartsPerSecond: '1e9'"), field);
        JMeterUtils.setProperty(GateSettings.RETRY_AFTER, "sometimes");
        String property = assertThrows(InvalidElementException.class, () -> GateSettings.putOfProperties(config)).getMessage();
        assertTrue(property.startsWith("webrtc.gate.retryAfter: 'sometimes'"), property);
    }
}
