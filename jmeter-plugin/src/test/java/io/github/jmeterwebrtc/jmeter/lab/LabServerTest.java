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
    void settingsThatAreNoObjectAreRefusedByNameAndPlace() throws Exception {
        assertEquals("{}", LabServer.settings("").toString());
        assertTrue(assertThrows(InvalidElementException.class, () -> LabServer.settings("[]")).getMessage()
                .startsWith("settings: expected a JSON object"));
        assertEquals("settings: not JSON at line 2, column 3", assertThrows(InvalidElementException.class,
                () -> LabServer.settings("{\n x}")).getMessage());
    }
}
