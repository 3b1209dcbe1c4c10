package io.github.jmeterwebrtc.jmeter.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ReportGraphsTest {
    private static final String TITLE = "jmeter.reportgenerator.graph.custom_webrtcFailures.title";

    @Test
    void whatTheUserHasSetStays() {
        Properties jmeter = new Properties();
        jmeter.setProperty(TITLE, "mine");
        ReportGraphs.register(jmeter);
        assertEquals("mine", jmeter.getProperty(TITLE));
        assertEquals(ReportGraphs.properties().size(), jmeter.size());
    }

    @Test
    void everyGraphHasAnIdThatJMeterTakesForACustomOne() {
        assertTrue(ReportGraphs.properties().keySet().stream()
                .allMatch(name -> name.startsWith("jmeter.reportgenerator.graph.custom_")));
    }
}
