package io.github.jmeterwebrtc.jmeter.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import org.apache.jmeter.samplers.SampleEvent;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ColumnsTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @BeforeEach
    void noTestRuns() {
        Columns.unregister();
    }

    @Test
    void aTestAfterOneWithWebRtcElementsHasTheVariablesOfTheUserOnly() {
        JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, "mine");
        assertTrue(Columns.register());
        Columns.unregister();
        SampleEvent.initSampleVariables();
        assertEquals("mine", JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
        assertEquals(1, SampleEvent.getVarCount());
        assertFalse(Columns.isRegistered());
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
    void aFileThatWasBegunWithoutThemKeepsItsColumns() {
        JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, "mine");
        Columns.register();
        Columns.fitTo(ResultsHeader.parse("timeStamp,elapsed,label,\"mine\""), "old.jtl");
        assertEquals("mine", JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
        assertEquals(1, SampleEvent.getVarCount());
        Columns.unregister();
        Columns.register();
        assertEquals("mine," + String.join(",", Columns.NAMES), JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
    }

    @Test
    void aFileWithoutSampleVariablesGetsNone() {
        JMeterUtils.getJMeterProperties().remove(SampleEvent.SAMPLE_VARIABLES);
        Columns.register();
        Columns.fitTo(ResultsHeader.parse("timeStamp,elapsed,label"), "old.jtl");
        assertEquals(0, SampleEvent.getVarCount());
    }

    @Test
    void aFileOfAnEarlierVersionKeepsTheColumnsThatItHas() {
        JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, "");
        Columns.register();
        Columns.fitTo(ResultsHeader.parse("timeStamp,elapsed,\"webrtc_iceMs\",\"webrtc_cause\""), "old.jtl");
        assertEquals("webrtc_iceMs,webrtc_cause", JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
    }

    @Test
    void aFileThatFitsNoOrderOfThemChangesNothing() {
        JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, "mine");
        Columns.register();
        Columns.fitTo(ResultsHeader.parse("timeStamp,elapsed,\"theirs\""), "old.jtl");
        assertEquals("mine," + String.join(",", Columns.NAMES), JMeterUtils.getProperty(SampleEvent.SAMPLE_VARIABLES));
    }

    @Test
    void aFirstLineThatIsNoHeaderDecidesNothing() {
        assertNull(ResultsHeader.parse("1700000000000,12,label,200"));
        assertNull(ResultsHeader.parse("<?xml version=\"1.0\"?>"));
        assertNull(ResultsHeader.parse(null));
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
