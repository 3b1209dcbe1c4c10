package io.github.jmeterwebrtc.jmeter.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.io.ByteArrayOutputStream;
import java.io.ObjectOutputStream;
import java.util.Arrays;
import org.apache.jmeter.samplers.SampleResult;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ResultBuilderTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void timesAreThoseOfTheEngine() {
        ResultBuilder builder = new ResultBuilder("WebRTC connect");
        builder.took(70_600);
        builder.milestones(40_400, 65_500);
        builder.success("200", "OK");
        SampleResult result = builder.build();
        assertEquals(71, result.getTime());
        assertEquals(40, result.getConnectTime());
        assertEquals(66, result.getLatency());
        assertEquals(71, result.getEndTime() - result.getStartTime());
        assertTrue(result.isSuccessful());
    }

    @Test
    void aResultThatSaysNothingIsAFailure() {
        SampleResult result = new ResultBuilder("x").build();
        assertFalse(result.isSuccessful());
        assertEquals("", result.getResponseCode());
    }

    @Test
    void evidenceIsJsonWithErrorCodeAndDetails() throws Exception {
        ResultBuilder builder = new ResultBuilder("x");
        builder.failure("ICE_FAILED", "no pair answered");
        builder.evidence("ICE Connection Failed", "ICE_FAILED", new ObjectMapper().readTree("{\"checksSent\":7}"));
        assertEquals("{\"error\":\"ICE Connection Failed\",\"code\":\"ICE_FAILED\",\"details\":{\"checksSent\":7}}",
                builder.build().getResponseDataAsString());
        assertEquals("ICE_FAILED", builder.cause());
    }

    @Test
    void longJsonIsCut() {
        ObjectNode json = new ObjectMapper().createObjectNode();
        char[] many = new char[2 * ResultBuilder.MAX_JSON_CHARS];
        Arrays.fill(many, 'x');
        json.put("x", new String(many));
        ResultBuilder builder = new ResultBuilder("x");
        builder.json(json);
        String text = builder.build().getResponseDataAsString();
        assertTrue(text.endsWith("… (cut)"));
        assertTrue(text.length() < ResultBuilder.MAX_JSON_CHARS + 20);
    }

    @Test
    void phasesBecomeSubResultsUnderTheirOwnNames() {
        ResultBuilder builder = new ResultBuilder("WebRTC connect");
        builder.phase(Columns.ICE_MS, 30_000);
        builder.phase(Columns.FIRST_RTP_MS, 5_000);
        builder.took(40_000);
        builder.phasesAsSubResults();
        SampleResult result = builder.build();
        assertEquals(2, result.getSubResults().length);
        assertEquals("ice", result.getSubResults()[0].getSampleLabel());
        assertEquals(30, result.getSubResults()[0].getTime());
        assertEquals("firstRtp", result.getSubResults()[1].getSampleLabel());
        assertEquals(40, result.getTime());
    }

    @Test
    void aResultWithAWebSocketUrlTravelsFromARemoteWorker() throws Exception {
        ResultBuilder builder = new ResultBuilder("x");
        builder.url("wss://example.org:8443/chat");
        SampleResult result = builder.build();
        assertEquals("https://example.org:8443/chat", result.getUrlAsString());
        try (ObjectOutputStream out = new ObjectOutputStream(new ByteArrayOutputStream())) {
            out.writeObject(result);
        }
    }
}
