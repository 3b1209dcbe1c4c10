package io.github.jmeterwebrtc.jmeter.lab;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class LabServerTest {
    @Test
    void theParametersOfEachProfileAreVariablesOfTheirOwn() throws Exception {
        assertEquals("{labUrl=ws://127.0.0.1:7/, labHost=127.0.0.1, labPort=7, labStun=stun:127.0.0.1:8,"
                + " labJsonUrl=ws://127.0.0.1:7/, labGenesysApi=http://127.0.0.1:9, labGenesysStreaming=ws://127.0.0.1:9}",
                LabServer.values("lab", "ws://127.0.0.1:7/", "stun:127.0.0.1:8", new ObjectMapper().readTree(
                        "{\"json\":{\"url\":\"ws://127.0.0.1:7/\"},"
                        + "\"genesys\":{\"api\":\"http://127.0.0.1:9\",\"streaming\":\"ws://127.0.0.1:9\"}}")).toString());
    }

    @Test
    void whatIsNoObjectIsRefusedByNameAndPlace() throws Exception {
        assertEquals("{\"a\":1}", LabServer.object("faults", "{\"a\":1}").toString());
        assertEquals("faults: expected a JSON object, found array",
                assertThrows(InvalidElementException.class, () -> LabServer.object("faults", "[]")).getMessage());
        assertTrue(assertThrows(InvalidElementException.class, () -> LabServer.object("settings", "{\n x}")).getMessage()
                .startsWith("settings: not JSON at line 2, column "));
    }
}
