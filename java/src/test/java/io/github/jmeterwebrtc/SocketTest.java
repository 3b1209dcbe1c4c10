package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SocketTest {
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
        test = engine.openScope(null);
        thread = engine.openScope(test);
    }

    @AfterEach
    void closeScopes() {
        test.close();
    }

    private Socket open(Scope scope, String name) throws EngineException {
        return scope.openSocket(null, name, "{\"url\":\"" + lab.signalingUrl() + "\"}", 10_000);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void openingSaysHowLongEachPhaseTookAndWhatTheServerAnswered() throws Exception {
        Opened opened = open(thread, "a").opened();
        assertEquals(101, opened.status());
        assertTrue(opened.statusLine().startsWith("HTTP/1.1 101"), opened.statusLine());
        assertEquals(-1, opened.dnsUs());
        assertEquals(-1, opened.tlsUs());
        assertTrue(opened.totalUs() >= opened.tcpUs() + opened.upgradeUs());
        assertTrue(opened.requestBytes() > 0 && opened.responseBytes() > 0);
        assertTrue(opened.headers().stream().anyMatch(header -> header.getKey().equalsIgnoreCase("Sec-WebSocket-Accept")));
        assertTrue(lab.signalingUrl().contains(opened.peer()), opened.peer());
    }

    @Test
    void aFrameGoesOutAndItsAnswerComesBackWithItsTimes() throws Exception {
        Socket socket = open(thread, "a");
        Sent sent = socket.send(null, Opcode.TEXT, true, utf8("{\"type\":\"ping\"}"), 5_000);
        assertEquals(2 + 4 + 15, sent.bytes());
        assertTrue(sent.nanos() > 0);
        Frame frame = socket.receive(null, 5_000);
        assertEquals(Opcode.TEXT, frame.opcode());
        assertTrue(frame.isFinal());
        assertEquals("{\"type\":\"pong\"}", frame.text());
        assertEquals(2, frame.headerBytes());
        assertEquals(15, frame.wirePayloadBytes());
        assertTrue(frame.waitedNanos() >= 0 && frame.ageNanos() >= 0);
    }

    @Test
    void anExchangeTellsWhatWasSentAndWhatCame() throws Exception {
        Socket socket = open(thread, "a");
        long waited = 0;
        for (int round = 0; round < 5; round++) {
            List<Sent> sent = new ArrayList<>();
            Frame frame = socket.exchange(null, Opcode.TEXT, utf8("{\"type\":\"ping\"}"), 5_000, 5_000, sent::add);
            assertEquals("{\"type\":\"pong\"}", frame.text());
            assertEquals(1, sent.size());
            assertEquals(2 + 4 + 15, sent.get(0).bytes());
            // An answer that was there first is not waited for.
            assertTrue(sent.get(0).nanos() > 0 && frame.waitedNanos() >= 0);
            waited += frame.waitedNanos();
        }
        assertTrue(waited > 0);
    }

    @Test
    void anExchangeWithoutAnAnswerStillTellsWhatWasSent() throws Exception {
        Socket socket = open(thread, "a");
        List<Sent> sent = new ArrayList<>();
        assertThrows(TimeoutException.class,
                () -> socket.exchange(null, Opcode.PONG, utf8("unasked"), 5_000, 20, sent::add));
        assertEquals(1, sent.size());
        assertEquals(2 + 4 + 7, sent.get(0).bytes());
        try (Operation operation = engine.operation()) {
            operation.cancel();
            assertThrows(CancellationException.class,
                    () -> socket.exchange(operation, Opcode.PONG, utf8("never"), 5_000, 20, sent::add));
        }
        socket.abort();
        assertThrows(EngineException.class,
                () -> socket.exchange(null, Opcode.PONG, utf8("never"), 5_000, 20, sent::add));
        assertEquals(1, sent.size());
    }

    @Test
    void aFrameCrossesWholeWhetherOrNotItFitsIntoTheMemoryOfTheThread() throws Exception {
        Socket callee = open(thread, "callee");
        callee.register(null, "callee", 5_000);
        for (int around = -64; around <= 64; around += 4) {
            // The server may still hold the name of the one before, which is just closing.
            Socket caller = open(thread, "caller" + around);
            caller.register(null, "caller" + around, 5_000);
            String head = "{\"type\":\"offer\",\"call\":\"" + around + "\",\"to\":\"callee\",\"sdp\":\"";
            char[] sdp = new char[FrameMemory.PAYLOAD_BYTES + around - head.length() - 2];
            Arrays.fill(sdp, (char) ('a' + (around + 64) / 8));
            byte[] offer = utf8(head + new String(sdp) + "\"}");
            List<Sent> sent = new ArrayList<>();
            // Nothing comes back to the caller.
            assertThrows(TimeoutException.class, () -> caller.exchange(null, Opcode.TEXT, offer, 5_000, 1, sent::add));
            assertEquals(4 + 4 + offer.length, sent.get(0).bytes());
            Frame relayed = callee.receiveMatching(null, "{\"jsonPath\":\"$.call\",\"value\":\"" + around + "\"}", 5_000);
            assertEquals(relayed.wirePayloadBytes(), relayed.payload().length);
            assertEquals(new String(sdp), Json.parse(relayed.payload()).path("sdp").asText());
            caller.close();
        }
    }

    @Test
    void aFrameThatWasQueuedWasNotWaitedFor() throws Exception {
        Socket socket = open(thread, "a");
        socket.send(null, Opcode.TEXT, true, utf8("{\"type\":\"ping\"}"), 5_000);
        while (socket.counters().path("queued").asInt() == 0) {
            Thread.sleep(5);
        }
        Frame frame = socket.receive(null, 0);
        assertEquals(0, frame.waitedNanos());
        assertTrue(frame.ageNanos() > 0);
    }

    @Test
    void aMatchingFrameIsTakenAndTheOthersStay() throws Exception {
        Socket socket = open(thread, "a");
        socket.send(null, Opcode.TEXT, true, utf8("{\"type\":\"ping\"}"), 5_000);
        socket.send(null, Opcode.TEXT, true, utf8("{\"type\":\"register\",\"name\":\"matching\"}"), 5_000);
        Frame registered = socket.receiveMatching(null, "{\"jsonPath\":\"$.type\",\"value\":\"registered\"}", 5_000);
        assertTrue(registered.text().contains("matching"), registered.text());
        assertTrue(socket.receive(null, 5_000).text().contains("pong"));
        assertThrows(TimeoutException.class, () -> socket.receiveMatching(null, "{\"text\":\"never\"}", 30));
    }

    @Test
    void aThreadSeesTheSocketsOfItsTestAndNotTheOtherWayRound() throws Exception {
        open(test, "shared");
        open(thread, "own");
        assertNotNull(thread.socket("shared"));
        assertNotNull(thread.socket("own"));
        assertNull(test.socket("own"));
        assertNull(thread.socket("none"));
    }

    @Test
    void openingUnderANameInUseReplacesTheSocket() throws Exception {
        Socket first = open(thread, "a");
        Socket second = open(thread, "a");
        assertFalse(first.isOpen());
        assertTrue(second.isOpen());
        assertThrows(IllegalStateException.class, first::counters);
        thread.releaseSocket("a");
        assertNull(thread.socket("a"));
        assertFalse(second.isOpen());
        thread.releaseSocket("a");
    }

    @Test
    void aSocketThatWeClosedKeepsItsNameAndCause() throws Exception {
        Socket socket = open(thread, "a");
        assertNull(socket.closeCause());
        CloseCause cause = socket.closeWith(null, 1000, "done", 5_000);
        assertEquals("closedByUs", cause.kind());
        assertEquals(Integer.valueOf(1000), cause.code());
        assertFalse(cause.describe().isEmpty());
        assertFalse(thread.socket("a").isOpen());
        assertEquals("closedByUs", thread.socket("a").closeCause().kind());
        EngineException closed = assertThrows(EngineException.class,
                () -> socket.send(null, Opcode.TEXT, true, utf8("x"), 1_000));
        assertEquals("CLOSED", closed.code());
        socket.close();
        socket.close();
        assertNull(thread.socket("a"));
    }

    @Test
    void aPortThatNobodyListensOnIsAConnectFailureWithItsErrno() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        EngineException refused = assertThrows(EngineException.class,
                () -> thread.openSocket(null, "a", "{\"url\":\"ws://127.0.0.1:" + port + "/\"}", 5_000));
        assertEquals("CONNECT", refused.code());
        assertEquals(111, refused.details().path("errno").asInt());
        assertNull(thread.socket("a"));
    }

    @Test
    void aServerThatNeverAnswersIsATimeoutOfTheWholeOpening() throws Exception {
        try (ServerSocket silent = new ServerSocket(0)) {
            String url = "ws://127.0.0.1:" + silent.getLocalPort() + "/";
            EngineException late = assertThrows(EngineException.class,
                    () -> thread.openSocket(null, "a", "{\"url\":\"" + url + "\"}", 200));
            assertEquals("TIMEOUT", late.code());
            assertEquals(200, late.details().path("deadlineMs").asInt());
        }
    }

    @Test
    void aScopeSaysWhatItClosed() throws Exception {
        open(thread, "a");
        open(test, "b");
        JsonNode closed = test.close(3_000);
        assertEquals(2, closed.path("sockets").size(), closed.toString());
        assertEquals(2, closed.path("scopes").asInt());
        assertTrue(closed.path("sockets").path(0).path("cause").has("kind"), closed.toString());
    }

    @Test
    void aSecondTestStartsCountingFromZero() throws Exception {
        engine.beginTest();
        Socket socket = open(thread, "a");
        assertEquals(1, engine.snapshot().path("webSockets").path("opened").asInt());
        assertEquals(1, engine.snapshot().path("webSockets").path("open").asInt());
        engine.beginTest();
        assertEquals(0, engine.snapshot().path("webSockets").path("opened").asInt());
        assertEquals(1, engine.snapshot().path("webSockets").path("open").asInt());
        socket.close();
        assertEquals(0, engine.snapshot().path("webSockets").path("open").asInt());
        assertTrue(engine.snapshot().path("generator").path("fds").asLong() > 0);
    }
}
