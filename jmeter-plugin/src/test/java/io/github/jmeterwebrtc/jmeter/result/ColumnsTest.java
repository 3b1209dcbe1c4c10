package io.github.jmeterwebrtc.jmeter.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.util.Collections;
import org.apache.jmeter.samplers.SampleEvent;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ColumnsTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void theNamesAreAppendedOnceToThoseTheUserHas() {
        JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, "mine, other");
        Columns.register();
        Columns.register();
        assertEquals("mine,other," + String.join(",", Columns.NAMES),
                JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
        assertEquals(2 + Columns.NAMES.size(), SampleEvent.getVarCount());
    }

    @Test
    void theyCanBeSwitchedOff() {
        JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, "mine");
        JMeterUtils.setProperty("webrtc.columns", "false");
        try {
            Columns.register();
            assertEquals("mine", JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
        } finally {
            JMeterUtils.getJMeterProperties().remove("webrtc.columns");
        }
    }

    @Test
    void phasesAreMillisecondsWithThreeDecimals() {
        Columns.register();
        JMeterVariables variables = new JMeterVariables();
        Columns.phases(variables, Collections.singletonMap(Columns.ICE_MS, 12_345L));
        assertEquals("12.345", variables.get("webrtc_iceMs"));
    }

    @Test
    void clearingLeavesNoValueOfTheSampleBefore() {
        Columns.register();
        JMeterVariables variables = new JMeterVariables();
        variables.put("mine", "1");
        Columns.put(variables, Columns.STATE, "connected");
        Columns.clear(variables);
        for (String name : Columns.NAMES) {
            assertEquals("", variables.get(name));
        }
        assertEquals("1", variables.get("mine"));
    }

    @Test
    void everyNameStartsWithThePrefix() {
        assertFalse(Columns.NAMES.stream().anyMatch(name -> !name.startsWith(Columns.PREFIX)));
    }
}
