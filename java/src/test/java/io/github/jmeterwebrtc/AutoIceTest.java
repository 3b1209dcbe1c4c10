package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class AutoIceTest {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final String CANNED = String.join("\r\n", "v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-",
            "t=0 0", "a=group:BUNDLE 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:CANN",
            "a=ice-pwd:cannedpasswordof24chars", "a=fingerprint:sha-256 " + String.join(":", Collections.nCopies(32, "AA")), "a=setup:actpass",
            "a=mid:0", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", "a=rtpmap:0 PCMU/8000", "");
    private static Lab lab;

    private final Engine engine = Engine.get();
    private Scope test;
    private Scope thread;

    @BeforeAll
    static void startLab() throws Exception {
        lab = Engine.get().startLab("{}", 10_000);
    }

    @AfterAll
    static void stopLab() {
        lab.close();
    }

    @BeforeEach
    void openScopes() {
        engine.beginTest();
        test = engine.openScope(null);
        thread = engine.openScope(test);
    }

    @AfterEach
    void closeScopes() {
        test.close();
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** An offer as the lab's signaling wants it. */
    private static String offer(String call) {
        ObjectNode offer = MAPPER.createObjectNode();
        offer.put("type", "offer").put("call", call).put("to", "tone").put("sdp", CANNED);
        return offer.toString();
    }

    private Socket open(String autoIce) throws EngineException {
        return thread.openSocket(null, "socket", "{\"url\":\"" + lab.signalingUrl() + "\",\"autoIce\":" + autoIce + "}", 10_000);
    }

    private AutoIceResult result() throws InterruptedException {
        while (thread.autoIceWaiting() == 0) {
            Thread.sleep(5);
        }
        List<AutoIceResult> results = thread.takeAutoIce();
        assertEquals(1, results.size());
        return results.get(0);
    }

    @Test
    void aCannedOfferOfASocketBecomesACallThatTalks() throws Exception {
        Socket socket = open("{}");
        long before = System.currentTimeMillis();
        socket.send(null, Opcode.TEXT, true, utf8(offer("call-1")), 5_000);
        AutoIceResult result = result();
        assertFalse(result.isLost());
        CallOutcome outcome = result.outcome();
        assertTrue(outcome.success(), outcome.message());
        assertTrue(outcome.elapsedUs() > 0 && outcome.connectUs() > 0 && outcome.latencyUs() >= outcome.connectUs());
        assertTrue(outcome.json().path("notes").isArray());
        assertNull(outcome.session());
        assertNull(result.lost());
        assertTrue(result.isOffering());
        assertEquals("socket", result.place());
        assertTrue(Math.abs(result.startEpochMs() - before) < 10_000, result.json().toString());
        Session session = thread.session(result.callName());
        assertNotNull(session, result.callName());
        assertNotNull(thread.session("call"));
        assertEquals("connected", session.await(null, "connected", 5_000));
        JsonNode counts = engine.snapshot().path("autoIce");
        assertEquals(1, counts.path("connected").asInt(), counts.toString());
        assertEquals(0, thread.autoIceWaiting());
        assertTrue(thread.takeAutoIce().isEmpty());
    }

    @Test
    void reportModeChangesNothingAndCounts() throws Exception {
        Socket socket = open("{\"mode\":\"report\"}");
        Sent sent = socket.send(null, Opcode.TEXT, true, utf8(offer("x")), 5_000);
        int payload = utf8(offer("x")).length;
        assertEquals(payload + 8, sent.bytes(), "the frame has the plan's own payload");
        JsonNode would = engine.snapshot().path("autoIce").path("wouldSwap");
        assertEquals("offer", would.path(0).path("what").asText(), would.toString());
    }

    @Test
    void anotherSamplersMessagesGoThroughAChannel() throws Exception {
        AutoIceChannel channel = thread.autoIce("http://127.0.0.1", "{\"server\":\"127.0.0.1\"}");
        assertNull(channel.outgoing(null, utf8("nothing to see"), 5_000));
        byte[] live = channel.outgoing(null, utf8(offer("poll")), null, 5_000);
        assertFalse(new String(live, StandardCharsets.UTF_8).contains("CANN"));
        Socket carrier = open("{\"mode\":\"off\"}");
        carrier.send(null, Opcode.TEXT, true, live, 5_000);
        String answer = carrier.receiveMatching(null, "{\"jsonPath\":\"$.type\",\"value\":\"answer\"}", 5_000).text();
        channel.incoming(utf8(answer), null);
        channel.incoming(utf8(answer), "{\"headers\":\"Content-Type: application/json\\r\\n\"}");
        AutoIceResult result = result();
        assertTrue(result.outcome().success(), result.json().toString());
        assertEquals("http://127.0.0.1", result.place());
        assertThrows(IllegalArgumentException.class, () -> channel.incoming(utf8(answer), "{\"header\":\"\"}"));
        assertThrows(IllegalArgumentException.class, () -> channel.incoming(null, null));
        assertThrows(IllegalArgumentException.class, () -> channel.outgoing(null, null, 1));
    }

    @Test
    void functionsMakeTheSameCalls() throws Exception {
        String config = "{\"server\":\"127.0.0.1\"}";
        String offer = thread.autoIceOffer(null, "mine", config, 5_000);
        JsonNode candidate = thread.autoIceCandidate(null, "mine", 5_000);
        assertTrue(candidate.path("candidate").asText().startsWith("candidate:"), candidate.toString());
        Socket carrier = open("{\"mode\":\"off\"}");
        ObjectNode message = MAPPER.createObjectNode();
        message.put("type", "offer").put("call", "f").put("to", "tone").put("sdp", offer);
        carrier.send(null, Opcode.TEXT, true, utf8(message.toString()), 5_000);
        String answer = carrier.receiveMatching(null, "{\"jsonPath\":\"$.type\",\"value\":\"answer\"}", 5_000).text();
        thread.autoIceApply(null, "mine", "answer", MAPPER.readTree(answer).path("sdp").asText(), 5_000);
        assertTrue(result().outcome().success());
        assertThrows(IllegalArgumentException.class, () -> thread.autoIceCandidate(null, "nobody", 10));
        assertThrows(IllegalArgumentException.class, () -> thread.autoIceAnswer(null, "nobody", config, null, 10));
        assertThrows(IllegalArgumentException.class, () -> thread.autoIceApply(null, "mine", "rollback", "", 10));
        thread.autoIceApply(null, "theirs", "offer", offer, 5_000);
        String theirs = thread.autoIceAnswer(null, "theirs", config, null, 5_000);
        assertEquals(theirs, thread.autoIceAnswer(null, "theirs", config, offer, 5_000), "the same offer, the same answer");
    }

    @Test
    void whatIsUndecidedIsToldAtTheEnd() throws Exception {
        thread.autoIceOffer(null, "alone", "{\"server\":\"127.0.0.1\"}", 5_000);
        List<AutoIceResult> ended = thread.endAutoIce(5_000);
        assertEquals(1, ended.size());
        assertEquals("CANCELLED", ended.get(0).outcome().code());
        thread.autoIceOffer(null, "again", "{\"server\":\"127.0.0.1\"}", 5_000);
        JsonNode closed = thread.close(5_000);
        List<AutoIceResult> left = AutoIceResult.list(closed.path("autoIce"));
        assertEquals("again", left.get(0).callName(), closed.toString());
        assertEquals(0, thread.autoIceWaiting());
        assertTrue(thread.takeAutoIce().isEmpty());
        assertThrows(IllegalStateException.class, () -> thread.endAutoIce(1_000));
        assertThrows(IllegalStateException.class, () -> thread.autoIce("late", "{}"));
    }

    @Test
    void aCancelledOperationMakesNoCall() {
        AutoIceChannel channel = thread.autoIce("x", "{\"answerWaitMs\":30000,\"server\":\"127.0.0.1\"}");
        try (Operation operation = engine.operation()) {
            operation.cancel();
            byte[] message = utf8(offer("x"));
            assertThrows(CancellationException.class, () -> channel.outgoing(operation, message, 5_000));
        }
        assertEquals(0, engine.snapshot().path("softphones").path("open").asInt());
        assertArrayEquals(new Object[0], thread.takeAutoIce().toArray());
    }

    @Test
    void badSettingsAreRefusedByFieldName() {
        IllegalArgumentException refused =
                assertThrows(IllegalArgumentException.class, () -> open("{\"gatherWaitMs\":-1}"));
        assertTrue(refused.getMessage().contains("autoIce.gatherWaitMs"), refused.getMessage());
        refused = assertThrows(IllegalArgumentException.class, () -> thread.autoIce("x", "{\"mode\":\"perhaps\"}"));
        assertTrue(refused.getMessage().startsWith("mode"), refused.getMessage());
    }
}
