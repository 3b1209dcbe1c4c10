package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class SessionTest {
    private static Lab lab;

    private final Engine engine = Engine.get();
    private Scope scope;

    @BeforeAll
    static void startLab() throws Exception {
        lab = Engine.get().startLab("{}", 10_000);
    }

    @AfterAll
    static void stopLab() {
        lab.close();
    }

    @BeforeEach
    void openScope() {
        engine.beginTest();
        scope = engine.openScope(null);
    }

    @AfterEach
    void closeScope() {
        scope.close();
        JsonNode left = engine.snapshot();
        assertEquals(0, left.path("softphones").path("open").asInt(), left.toString());
        assertEquals(0, left.path("webSockets").path("open").asInt(), left.toString());
    }

    private Socket signaling(String name) throws EngineException {
        return scope.openSocket(null, name, "{\"url\":\"" + lab.signalingUrl() + "\"}", 10_000);
    }

    @Test
    void aCallTalksAndItsAccountsAgreeWhenItHangsUp() throws Exception {
        CallOutcome call = scope.placeCall(null, "call", signaling("a"), "{}", 30_000);
        assertTrue(call.success(), call.json().toString());
        assertEquals("200", call.code());
        assertTrue(call.elapsedUs() >= call.latencyUs() && call.latencyUs() >= call.connectUs());
        assertTrue(call.json().path("phases").path("iceUs").isNumber(), call.json().toString());
        assertEquals(2, call.json().path("selectedPair").size(), call.json().toString());
        Session session = call.session();
        assertEquals("connected", session.connectionState());
        assertEquals("connected", session.await(null, "media", 10_000));
        assertNotNull(scope.session("call"));
        Thread.sleep(300);
        JsonNode check = session.check(null, 5_000);
        assertTrue(check.path("packetsSent").asInt() > 0 && check.path("packetsReceived").asInt() > 0, check.toString());
        assertEquals(0, check.path("packetsLost").asInt(), check.toString());
        assertTrue(session.check(null, 5_000).path("intervalMs").asDouble() < check.path("totals").size() * 10_000);
        assertTrue(session.stats(null, 5_000).size() > 0);
        JsonNode now = engine.snapshot();
        assertEquals(1, now.path("softphones").path("connected").asInt(), now.toString());
        assertEquals(1, now.path("softphones").path("talking").asInt(), now.toString());
        assertEquals(1, now.path("udpSockets").path("opened").asInt(), now.toString());
        JsonNode report = session.hangUp(null, 5_000);
        assertTrue(report.path("agrees").asBoolean(), report.toString());
        assertNull(scope.session("call"));
        assertThrows(IllegalStateException.class, session::connectionState);
        JsonNode after = engine.snapshot();
        assertEquals(report.path("media").path("packetsSent").asLong(),
                after.path("media").path("packetsSent").asLong(), after.toString());
        assertEquals(1, after.path("softphones").path("ended").asInt(), after.toString());
        session.close();
    }

    @Test
    void aCallToNobodyIsAnOutcomeAndNoException() throws Exception {
        CallOutcome call = scope.placeCall(null, "call", signaling("a"), "{\"to\":\"nobody-there\"}", 30_000);
        assertFalse(call.success());
        assertEquals("SIGNALING_REFUSED", call.code());
        assertNull(call.session());
        assertFalse(call.message().isEmpty());
        assertEquals(1, engine.snapshot().path("softphones").path("failed").asInt());
    }

    @Test
    void aRegisteredSocketAnswersACall() throws Exception {
        Socket callee = signaling("callee");
        assertEquals("bob", callee.register(null, "bob", 5_000).path("name").asText());
        ExecutorService other = Executors.newSingleThreadExecutor();
        try {
            Future<CallOutcome> answered = other.submit(() -> scope.answerCall(null, "in", callee, "{}", 30_000));
            CallOutcome placed = scope.placeCall(null, "out", signaling("caller"), "{\"to\":\"bob\"}", 30_000);
            assertTrue(placed.success(), placed.json().toString());
            assertTrue(answered.get().success(), answered.get().json().toString());
            placed.session().hangUp(null, 5_000);
            JsonNode report = answered.get().session().hangUp(null, 5_000);
            assertEquals("peer", report.path("endedBy").asText(), report.toString());
        } finally {
            other.shutdownNow();
        }
    }

    @Test
    void registeringANameInUseIsRefusedWithTheReason() throws Exception {
        signaling("a").register(null, "taken", 5_000);
        Socket second = signaling("b");
        EngineException refused = assertThrows(EngineException.class, () -> second.register(null, "taken", 5_000));
        assertEquals("SIGNALING_REFUSED", refused.code());
        assertTrue(refused.getMessage().contains("taken"), refused.getMessage());
    }

    @Test
    void cancellingACallThatIsBeingSetUpLeavesNothingOpen() throws Exception {
        Socket waiting = signaling("a");
        try (Operation operation = engine.operation()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(200);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                operation.cancel();
            });
            canceller.start();
            assertThrows(CancellationException.class,
                    () -> scope.answerCall(operation, "never", waiting, "{}", 60_000));
            canceller.join();
        }
        assertNull(scope.session("never"));
        assertTrue(waiting.isOpen());
    }

    @Test
    void twoSessionsConnectWhenAPlanCarriesTheirDescriptions() throws Exception {
        Session offerer = scope.newSession(null, "offerer", "{\"trickle\":false}");
        Session answerer = scope.newSession(null, "answerer", "{\"trickle\":false}");
        assertEquals("new", offerer.connectionState());
        assertThrows(TimeoutException.class, () -> offerer.await(null, "connected", 20));
        String offer = offerer.createOffer(null, 10_000);
        String answer = answerer.createAnswer(null, offer, 10_000);
        offerer.setRemoteAnswer(null, answer, 10_000);
        assertEquals("connected", offerer.await(null, "connected", 20_000));
        assertEquals("connected", answerer.await(null, "media", 20_000));
        JsonNode report = offerer.report();
        assertEquals("connected", report.path("state").asText());
        assertTrue(report.path("lost").isNull(), report.toString());
        assertTrue(report.path("phases").path("dtlsConnectedUs").isNumber(), report.toString());
        JsonNode closed = scope.close(5_000);
        assertEquals(2, closed.path("sessions").size(), closed.toString());
    }

    @Test
    void candidatesAreCarriedOneByOne() throws Exception {
        Session offerer = scope.newSession(null, "offerer", "{}");
        Session answerer = scope.newSession(null, "answerer", "{}");
        offerer.setRemoteAnswer(null, answerer.createAnswer(null, offerer.createOffer(null, 10_000), 10_000), 10_000);
        for (String c = offerer.nextLocalCandidate(null, 10_000); c != null; c = offerer.nextLocalCandidate(null, 10_000)) {
            answerer.addIceCandidate(c);
        }
        for (String c = answerer.nextLocalCandidate(null, 10_000); c != null; c = answerer.nextLocalCandidate(null, 10_000)) {
            offerer.addIceCandidate(c);
        }
        assertEquals("connected", answerer.await(null, "connected", 20_000));
    }

    @Test
    void anSdpThatIsNoneIsRefused() throws Exception {
        Session session = scope.newSession(null, "s", "{}");
        EngineException refused =
                assertThrows(EngineException.class, () -> session.createAnswer(null, "no sdp", 10_000));
        assertEquals("SDP", refused.code());
        IllegalArgumentException state =
                assertThrows(IllegalArgumentException.class, () -> session.await(null, "tomorrow", 10));
        assertTrue(state.getMessage().contains("state"), state.getMessage());
    }
}
