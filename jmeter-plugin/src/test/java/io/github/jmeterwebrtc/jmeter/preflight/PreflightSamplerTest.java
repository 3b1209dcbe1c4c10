package io.github.jmeterwebrtc.jmeter.preflight;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class PreflightSamplerTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void theEvidenceIsAllFailedChecksAndTheAdviceThatOfTheFirst() throws Exception {
        JsonNode report = new ObjectMapper().readTree("{\"checks\":["
                + "{\"name\":\"memory\",\"status\":\"pass\",\"finding\":\"enough\",\"advice\":null},"
                + "{\"name\":\"UDP ports\",\"status\":\"fail\",\"finding\":\"3 free\",\"advice\":\"widen\"},"
                + "{\"name\":\"UDP\",\"status\":\"fail\",\"finding\":\"blocked\",\"advice\":\"allow\"}]}");
        assertEquals("{\"evidence\":[{\"fact\":\"UDP ports: 3 free\"},{\"fact\":\"UDP: blocked\"}],\"advice\":\"widen\"}",
                PreflightSampler.verdict(report).toString());
    }
}
