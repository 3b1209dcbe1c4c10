package io.github.jmeterwebrtc.jmeter.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import org.apache.jmeter.samplers.SampleResult;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class RegistrationRecordTest {
    private static final String TIMES = "\"elapsedUs\":90000,\"connectUs\":40000,\"latencyUs\":50000,\"starved\":false,"
            + "\"phases\":{\"dns\":null,\"tcp\":1500,\"tls\":null,\"upgrade\":2500,\"http\":30000,\"login\":50000}";

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void aRegistrationIsOneSampleWithItsPhasesInColumns() throws Exception {
        ResultBuilder result = new ResultBuilder("register");
        RegistrationRecord.write(true, "200", "", json("{" + TIMES + ",\"gateWaitUs\":7000,\"verdict\":null}"), result);
        SampleResult built = result.build();
        assertTrue(built.isSuccessful());
        assertEquals("200", built.getResponseCode());
        assertEquals(90, built.getTime());
        assertEquals(40, built.getConnectTime());
        assertEquals(50, built.getLatency());
        assertEquals("{webrtc_httpMs=30.000, webrtc_tcpMs=1.500, webrtc_upgradeMs=2.500, webrtc_loginMs=50.000,"
                + " webrtc_gateWaitMs=7.000}", result.columns().toString());
    }

    @Test
    void aFailureSaysCauseEvidenceAndAdvice() throws Exception {
        ResultBuilder result = new ResultBuilder("register");
        RegistrationRecord.write(false, "DUPLICATE_IDENTITY", "not registered: user-a is logged in twice", json("{" + TIMES + ",\"verdict\":{"
                + "\"cause\":\"DUPLICATE_IDENTITY\",\"confidence\":\"certain\",\"advice\":\"Give each thread a user of its own\","
                + "\"evidence\":[{\"atUs\":1000,\"fact\":\"user-a is registered 1 time more in this process\"}]}}"), result);
        SampleResult built = result.build();
        assertEquals("DUPLICATE_IDENTITY", built.getResponseCode());
        assertEquals("Registration failed: user-a is logged in twice. Give each thread a user of its own",
                built.getResponseMessage());
        assertEquals("certain", result.columns().get(Columns.CONFIDENCE));
        assertEquals("1.000 ms user-a is registered 1 time more in this process", result.columns().get(Columns.EVIDENCE));
    }

    private static JsonNode json(String text) throws Exception {
        return new ObjectMapper().readTree(text);
    }
}
