package io.github.jmeterwebrtc.jmeter.result;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.io.ByteArrayOutputStream;
import java.io.ObjectOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
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
    void aTextThatCameIsShownAsItIsAndWhatIsNoUtf8IsReplaced() {
        for (String text : new String[] {"", "hello", "grüße 😀"}) {
            ResultBuilder builder = new ResultBuilder("x");
            builder.text(text.getBytes(StandardCharsets.UTF_8));
            assertEquals(text, builder.build().getResponseDataAsString());
            assertEquals(SampleResult.TEXT, builder.build().getDataType());
        }
        ResultBuilder builder = new ResultBuilder("x");
        builder.text(new byte[] {'a', (byte) 0xff, 'b'});
        assertArrayEquals("a\ufffdb".getBytes(StandardCharsets.UTF_8), builder.build().getResponseData());
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
    void theColumnsOfAFailureCarryCauseConfidenceAndEvidence() throws Exception {
        ResultBuilder builder = new ResultBuilder("x");
        builder.phase(Columns.ICE_MS, 12_345);
        builder.waitedAtGate(1_500);
        builder.starved(true);
        builder.failure("ICE_FAILED", new FailureReport("ICE Connection Failed", "ICE_FAILED", "no pair answered",
                new ObjectMapper().readTree("{\"cause\":\"CHECKS_UNANSWERED\",\"confidence\":\"certain\","
                        + "\"evidence\":[{\"atUs\":1500,\"fact\":\"7 checks,\\nno answer\"}]}"), null));
        Map<String, String> columns = builder.columns();
        assertEquals("12.345", columns.get("webrtc_iceMs"));
        assertEquals("1.500", columns.get("webrtc_gateWaitMs"));
        assertEquals("true", columns.get("webrtc_starved"));
        assertEquals("CHECKS_UNANSWERED", columns.get("webrtc_cause"));
        assertEquals("certain", columns.get("webrtc_confidence"));
        assertEquals("1.500 ms 7 checks, no answer", columns.get("webrtc_evidence"));
        assertTrue(builder.build().getResponseHeaders().contains("evidence: 1.500 ms 7 checks"),
                "a remote worker takes the response data away");
    }

    @Test
    void theColumnsOfASuccessSayNothingOfCauses() {
        ResultBuilder builder = new ResultBuilder("x");
        builder.success("200", "OK");
        assertTrue(builder.columns().isEmpty(), builder.columns().toString());
    }

    @Test
    void aWaitInTheGateIsBeforeTheSampleAndNotInIt() {
        long before = System.currentTimeMillis();
        ResultBuilder builder = new ResultBuilder("x");
        builder.waitedAtGate(5_000_000);
        builder.took(20_000);
        SampleResult result = builder.build();
        assertEquals(20, result.getTime());
        assertTrue(result.getStartTime() >= before + 5_000, "it starts when the gate has let it through");
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
