package io.github.jmeterwebrtc.jmeter.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.util.Collections;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class FailureReportTest {
    private static final String VERDICT = "{\"cause\":\"TURN_REJECTED\",\"confidence\":\"certain\","
            + "\"advice\":\"Check user name and credential.\","
            + "\"evidence\":[{\"atUs\":1200,\"fact\":\"Allocate sent\"},{\"atUs\":2500,\"fact\":\"error 401\"}]}";

    private static JsonNode json(String text) throws Exception {
        return new ObjectMapper().readTree(text);
    }

    private static FailureReport turn() throws Exception {
        return new FailureReport("ICE Connection Failed", "ICE_FAILED",
                "ICE did not connect within 1500 ms: 7 checks from 10.0.0.1:40001 unanswered; signaling took 12 ms",
                json(VERDICT), json("{\"checksSent\":7}"));
    }

    @Test
    void theMessageSaysHeadingSentenceCauseAndAdvice() throws Exception {
        assertEquals("ICE Connection Failed: ICE did not connect within 1500 ms [TURN_REJECTED, certain]."
                + " Check user name and credential.", turn().message());
    }

    @Test
    void theMessageIsTheSameForCallsThatDifferInPortsAndCountersOnly() {
        String one = FailureReport.headline("no packet came in within 5000 ms (250 sent, 0 dropped)");
        String other = FailureReport.headline("no packet came in within 5000 ms (249 sent, 3 dropped)");
        assertEquals("no packet came in within 5000 ms", one);
        assertEquals(one, other);
        assertEquals("the other side hung up: busy", FailureReport.headline("the other side hung up: busy"));
    }

    @Test
    void withoutAVerdictTheCodeIsTheCause() {
        FailureReport failure = new FailureReport("Call Refused", "SIGNALING_REFUSED", "unknown name",
                MissingNode.getInstance(), null);
        assertEquals("SIGNALING_REFUSED", failure.cause());
        assertEquals("", failure.confidence());
        assertEquals("Call Refused: unknown name", failure.message());
        assertEquals("unknown name", failure.evidenceLine());
    }

    @Test
    void theVerdictOfAnExceptionStandsInItsDetails() throws Exception {
        JsonNode details = json("{\"cause\":{\"kind\":\"fin\"},\"verdict\":" + VERDICT + "}");
        FailureReport failure = new FailureReport("closed", "CLOSED", "closed", details, details);
        assertEquals("TURN_REJECTED", failure.cause());
        assertEquals("certain", failure.confidence());
        assertEquals("1.200 ms Allocate sent; 2.500 ms error 401", failure.evidenceLine());
    }

    @Test
    void aVerdictMayStandBesideOtherMembers() throws Exception {
        FailureReport failure = new FailureReport("WebSocket", "CONNECT", "refused",
                json("{\"errno\":111,\"starved\":true,\"starvedReasons\":[\"CPU\"],\"verdict\":" + VERDICT + "}"), null);
        assertEquals("TURN_REJECTED", failure.cause());
        assertEquals("CPU", failure.json(1000).path("starvedReasons").path(0).asText());
    }

    @Test
    void detailsDoNotRepeatWhatStandsBesideThem() throws Exception {
        JsonNode details = json("{\"errno\":111,\"starved\":false,\"verdict\":" + VERDICT + "}");
        JsonNode data = new FailureReport("WebSocket", "CONNECT", "refused", details, details).json(1000);
        assertEquals("{\"errno\":111}", data.path("details").toString());
    }

    @Test
    void theEvidenceIsOneLineWithTimes() throws Exception {
        assertEquals("1.200 ms Allocate sent; 2.500 ms error 401", turn().evidenceLine());
    }

    @Test
    void theResponseDataIsTheObjectThatUsersKnowWithTheVerdictInIt() throws Exception {
        JsonNode data = turn().json(1000);
        assertEquals("ICE Connection Failed", data.path("error").asText());
        assertEquals("ICE_FAILED", data.path("code").asText());
        assertEquals("TURN_REJECTED", data.path("cause").asText());
        assertEquals("certain", data.path("confidence").asText());
        assertEquals(2, data.path("evidence").size());
        assertEquals(7, data.path("details").path("checksSent").asInt());
        assertTrue(data.path("message").asText().contains("40001"), "the whole sentence is here");
    }

    @Test
    void detailsThatAreTooLongGoAndTheRestStaysJson() throws Exception {
        JsonNode details = json("{\"x\":\"" + String.join("", Collections.nCopies(500, "many ")) + "\"}");
        FailureReport failure = new FailureReport("a", "B", "c", json(VERDICT), details);
        JsonNode data = json(failure.json(1000).toString());
        assertTrue(data.path("details").has("cut"));
        assertEquals("TURN_REJECTED", data.path("cause").asText());
    }

    @Test
    void linesAreCutAndHaveNoBreaks() {
        String line = FailureReport.oneLine("a\r\nb\u2028c " + String.join("", Collections.nCopies(100, "long ")), 50);
        assertTrue(line.startsWith("a b c long"));
        assertEquals(50, line.length());
        assertTrue(line.endsWith("…"));
        assertFalse(FailureReport.oneLine("x\uD83D\uDE00y", 3).contains("\uD83D"), "never half a character");
    }
}
