package io.github.jmeterwebrtc.jmeter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.Engine;
import io.github.jmeterwebrtc.jmeter.PlanRun.Row;
import java.io.File;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class PlanTest {
    @AfterEach
    void nothingIsLeftOpen() {
        JsonNode snapshot = Engine.get().snapshot();
        assertEquals(0, snapshot.path("softphones").path("open").asInt(), snapshot::toString);
        assertEquals(0, snapshot.path("webSockets").path("open").asInt(), snapshot::toString);
        assertEquals(0, snapshot.path("udpSockets").path("open").asInt(), snapshot::toString);
    }

    @Test
    void threeIterationsUseTheSameSocketAndCall() throws Exception {
        PlanRun run = PlanRun.of("three-iterations.jmx").run();
        assertAllSucceeded(run);
        assertEquals(2, run.rows("WebSocket open").size());
        List<Row> calls = run.rows("WebRTC connect");
        assertEquals(6, calls.size());
        assertEquals(4, calls.stream().filter(row -> row.result.getResponseMessage().equals("existing call")).count());
        JsonNode snapshot = Engine.get().snapshot();
        assertEquals(2, snapshot.path("softphones").path("connected").asInt(), snapshot::toString);
        assertEquals(2, snapshot.path("webSockets").path("opened").asInt(), snapshot::toString);
    }

    @Test
    void aRowCarriesTheValuesOfItsOwnSampleOnly() throws Exception {
        PlanRun run = PlanRun.of("three-iterations.jmx").run();
        Row open = run.rows("WebSocket open").get(0);
        assertTrue(open.number("webrtc_tcpMs") > 0, open::toString);
        assertTrue(open.number("webrtc_upgradeMs") > 0, open::toString);
        assertEquals("", open.columns.get("webrtc_iceMs"));
        Row call = run.rows("WebRTC connect").get(0);
        assertEquals("", call.columns.get("webrtc_tcpMs"));
        assertTrue(call.number("webrtc_dtlsMs") > 0, call::toString);
        assertEquals("connected", call.columns.get("webrtc_state"));
        assertTrue(call.columns.get("webrtc_selectedPair").contains(" -> "), call::toString);
        Row check = run.rows("WebRTC media check").get(0);
        assertEquals("", check.columns.get("webrtc_dtlsMs"));
        assertTrue(check.number("webrtc_packetsReceived") > 0, check::toString);
    }

    @Test
    void aCallIsOneSampleWithTimesInTheirOrder() throws Exception {
        PlanRun run = PlanRun.of("three-iterations.jmx").run();
        for (Row row : run.rows("WebRTC connect")) {
            if (row.result.getResponseMessage().equals("OK")) {
                assertTrue(row.result.getConnectTime() <= row.result.getLatency(), row::toString);
                assertTrue(row.result.getLatency() <= row.result.getTime(), row::toString);
                assertEquals(0, row.result.getSubResults().length);
                assertTrue(row.result.getSamplerData().startsWith("v=0"), row::toString);
            }
        }
    }

    @Test
    void whatAPlanLeavesOpenIsCountedAndClosed(@TempDir Path directory) throws Exception {
        File summary = directory.resolve("summary.json").toFile();
        JMeterUtils.setProperty("webrtc.summary_file", summary.toString());
        try {
            PlanRun run = PlanRun.of("left-open.jmx").run();
            assertAllSucceeded(run);
        } finally {
            JMeterUtils.getJMeterProperties().remove("webrtc.summary_file");
        }
        JsonNode json = new ObjectMapper().readTree(summary);
        assertEquals(3, json.path("softphones").path("connected").asInt(), json::toString);
        // The threads have ended, and what they owned with them.
        assertEquals(0, json.path("leftOpen").path("softphones").asInt(), json::toString);
    }

    @Test
    void aSecondTestInTheSameJvmStartsClean() throws Exception {
        PlanRun.of("left-open.jmx").run();
        PlanRun run = PlanRun.of("left-open.jmx").run();
        assertAllSucceeded(run);
        JsonNode snapshot = Engine.get().snapshot();
        assertEquals(3, snapshot.path("softphones").path("connected").asInt(), snapshot::toString);
        assertEquals(3, snapshot.path("webSockets").path("opened").asInt(), snapshot::toString);
    }

    @Test
    void badInputIsRefusedByNameWhileOtherThreadsGoOn() throws Exception {
        PlanRun run = PlanRun.of("bad-input.jmx").run();
        assertEquals(2, run.rows("WebRTC connect").stream().filter(row -> row.result.isSuccessful()).count(), run.all()::toString);
        Row codec = run.rows("codecs").get(0);
        assertEquals("CONFIG", codec.result.getResponseCode());
        assertTrue(codec.result.getResponseMessage().contains("codecs"), codec::toString);
        assertTrue(codec.result.getResponseMessage().contains("g722"), codec::toString);
        assertTrue(run.rows("WebSocket open").stream().anyMatch(row ->
                row.result.getResponseMessage().equals("Sampler error: Port number 'x' is not a number.")));
        assertTrue(run.rows("WebSocket open").stream().anyMatch(row -> row.result.getResponseMessage()
                .equals("Sampler error: Read timeout '-1' is not valid; should between 0 and 9999999")));
    }

    @Test
    void theEndTimeOfAThreadGroupEndsALongWait() throws Exception {
        long start = System.nanoTime();
        PlanRun run = PlanRun.of("scheduled-wait.jmx").run();
        assertTrue(seconds(start) < 30, "the read timeout of 120 s was waited for");
        assertCancelled(run, 5, "the end time of the thread group");
    }

    @Test
    void shutdownEndsALongWait() throws Exception {
        endsALongWait(PlanRun::shutdown, "the test is being shut down");
    }

    @Test
    void stopEndsALongWait() throws Exception {
        PlanRun run = endsALongWait(PlanRun::stop, "");
        assertFalse(run.rows("WebSocket read").isEmpty());
    }

    @Test
    void pingsKeepASocketAliveThatSilenceWouldEnd() throws Exception {
        PlanRun run = PlanRun.of("idle-cut.jmx").run();
        List<Row> writes = run.rows("write after silence");
        assertEquals(2, writes.size());
        for (Row write : writes) {
            if (write.result.getThreadName().startsWith("Pinging")) {
                assertEquals("200", write.result.getResponseCode(), write::toString);
            } else {
                assertEquals("Sampler error", write.result.getResponseCode(), write::toString);
                String message = write.result.getResponseMessage();
                assertTrue(message.startsWith(
                        "Sampler configured for using existing connection, but there is no connection: "), message);
            }
        }
    }

    @Test
    void aCallCanOpenItsOwnSignalingSocket() throws Exception {
        PlanRun run = PlanRun.of("own-socket.jmx").run();
        Row call = run.rows("WebRTC connect").get(0);
        assertTrue(call.result.isSuccessful(), call::toString);
        assertTrue(call.number("webrtc_upgradeMs") > 0, call::toString);
        assertTrue(call.number("webrtc_dtlsMs") > 0, call::toString);
        assertTrue(run.rows("await media").get(0).result.isSuccessful(), run.all()::toString);
        assertEquals("OK", run.rows("call again").get(0).result.getResponseMessage());
        assertEquals("", run.rows("call again").get(0).columns.get("webrtc_upgradeMs"));
        assertTrue(run.rows("WebRTC hang up").get(0).result.isSuccessful(), run.all()::toString);
    }

    @Test
    void callsThatCannotBeAreRefusedWithAWordOnWhatToDo() throws Exception {
        PlanRun run = PlanRun.of("own-socket.jmx").run();
        Row noCall = run.rows("check without call").get(0);
        assertEquals("CONFIG", noCall.result.getResponseCode());
        assertTrue(noCall.result.getResponseMessage().startsWith("callName: there is no call"), noCall::toString);
        Row badUrl = run.rows("bad url").get(0);
        assertEquals("CONFIG", badUrl.result.getResponseCode());
        assertEquals("signalingUrl: 'http://x/' is not a ws:// or wss:// URL with a host",
                badUrl.result.getResponseMessage());
        Row noSocket = run.rows("no socket").get(0);
        assertEquals("CONFIG", noSocket.result.getResponseCode(), noSocket::toString);
        assertTrue(noSocket.result.getResponseMessage().contains("connectionId: there is no WebSocket 'none'"), noSocket::toString);
    }

    @Test
    void aSocketOfTheTestOutlivesTheThreadThatOpenedIt() throws Exception {
        PlanRun run = PlanRun.of("shared-socket.jmx").run();
        assertAllSucceeded(run);
        assertEquals(2, run.rows("request-response").size());
        assertEquals("200", run.rows("request-response").get(0).result.getResponseCode());
    }

    @Test
    void phasesBecomeSubResultsOnRequest() throws Exception {
        JMeterUtils.setProperty("webrtc.samples", "phases");
        try {
            PlanRun run = PlanRun.of("left-open.jmx").run();
            SampleResult call = run.rows("WebRTC connect").get(0).result;
            assertEquals(5, call.getSubResults().length);
            assertEquals("gather", call.getSubResults()[0].getSampleLabel());
        } finally {
            JMeterUtils.getJMeterProperties().remove("webrtc.samples");
        }
    }

    @Test
    void webSocketSamplersSayWhatExistingPlansExpect() throws Exception {
        PlanRun run = PlanRun.of("frames.jmx").run();
        String none = "Sampler configured for using existing connection, but there is no connection";
        assertRow(run, "read without connection", false, "Sampler error", none);
        assertRow(run, "ping without connection", false, "Sampler error",
                "Sampler must use existing connection, but there is no connection");
        assertRow(run, "close without connection", false, "", "No connection; nothing to close.");
        assertRow(run, "WebSocket open", true, "101", "Switching Protocols");
        assertRow(run, "request-response", true, "200", "OK");
        assertRow(run, "wait for pong", true, "200", "OK");
        assertRow(run, "ping", true, "200", "OK");
        assertRow(run, "pong only", true, "200", "OK");
        assertRow(run, "optional read", true, "No response", "Read timeout, no response received.");
        assertRow(run, "read in vain", false, "Websocket I/O error", "WebSocket I/O error: Read timed out");
        assertRow(run, "read binary", false, "Sampler error: unexpected frame type (text).",
                "Received: Text frame with text '{\"type\":\"pong\"}'");
        assertRow(run, "bad data", false, "Sampler Error", "Request data is not binary: zz");
        assertRow(run, "close", true, "4321", "Connection closed; close reason: 'sampler requested close'.");
        assertRow(run, "write after close", false, "Sampler error", none);
        assertRow(run, "open refused", false, "Websocket I/O error", "WebSocket I/O error: Connection refused");
        assertRow(run, "open unknown host", false, "Websocket I/O error",
                "WebSocket I/O error: no.such.host.invalid");
        assertRow(run, "request-response on a new connection", true, "101", "Switching Protocols");
    }

    @Test
    void sizesAndDataAreThoseOfTheFrames() throws Exception {
        PlanRun run = PlanRun.of("frames.jmx").run();
        SampleResult exchange = run.rows("request-response").get(0).result;
        String port = run.rows("WebSocket open").get(0).result.getURL().getPort() + "";
        assertEquals("Connect URL:\nws://127.0.0.1:" + port + "/\n(using existing connection)\n"
                + "\nRequest data:\n{\"type\":\"ping\"}\n", exchange.getSamplerData());
        assertEquals("{\"type\":\"pong\"}", exchange.getResponseDataAsString());
        assertEquals(2 + 15, exchange.getBytesAsLong());
        assertEquals(6 + 15, exchange.getSentBytes());
        assertEquals(0, exchange.getConnectTime());
        SampleResult ping = run.rows("ping").get(0).result;
        assertEquals(2, ping.getBytesAsLong());
        assertEquals(6, ping.getSentBytes());
        SampleResult close = run.rows("close").get(0).result;
        assertEquals("4321: sampler requested close", close.getResponseDataAsString());
        assertTrue(run.rows("read what was skipped").get(0).result.getResponseDataAsString().contains("registered"));
    }

    @Test
    void aCallThatThePeerEndsIsToldOnce() throws Exception {
        PlanRun run = PlanRun.of("ended-by-peer.jmx").run();
        assertTrue(run.rows("answer").get(0).result.isSuccessful(), run.all()::toString);
        assertTrue(run.rows("WebRTC connect").get(0).result.isSuccessful(), run.all()::toString);
        assertTrue(run.rows("peer hangs up").get(0).result.isSuccessful(), run.all()::toString);
        List<Row> lost = run.rows("WebRTC lost");
        assertEquals(1, lost.size(), run.all()::toString);
        assertEquals("CALL_LOST", lost.get(0).result.getResponseCode());
        assertEquals("ENDED_BY_PEER", lost.get(0).columns.get("webrtc_cause"));
        assertTrue(lost.get(0).result.getThreadName().startsWith("Calling"), lost::toString);
        assertFalse(run.rows("check after the end").get(0).result.isSuccessful());
    }

    private static void assertRow(PlanRun run, String label, boolean success, String code, String message) {
        Row row = run.rows(label).get(0);
        assertEquals(code, row.result.getResponseCode(), row::toString);
        assertEquals(message, row.result.getResponseMessage(), row::toString);
        assertEquals(success, row.result.isSuccessful(), row::toString);
    }

    private static PlanRun endsALongWait(Consumer<PlanRun> end, String reason) throws Exception {
        PlanRun run = PlanRun.of("long-wait.jmx");
        Thread jmeter = new Thread(run::run, "jmeter-engine");
        jmeter.start();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (run.rows("WebSocket open").size() < 20 && System.nanoTime() < deadline) {
            Thread.sleep(50);
        }
        // An open socket has its row before its thread is in the read.
        Thread.sleep(3_000);
        long start = System.nanoTime();
        end.accept(run);
        jmeter.join(TimeUnit.SECONDS.toMillis(60));
        assertFalse(jmeter.isAlive(), "the read timeout of 120 s was waited for");
        assertTrue(seconds(start) < 30);
        if (!reason.isEmpty()) {
            assertCancelled(run, 20, reason);
        }
        return run;
    }

    private static void assertCancelled(PlanRun run, int count, String reason) {
        List<Row> reads = run.rows("WebSocket read");
        assertEquals(count, reads.size());
        for (Row read : reads) {
            assertEquals("CANCELLED", read.result.getResponseCode(), read::toString);
            assertEquals("Stopped while waiting: " + reason, read.result.getResponseMessage());
        }
    }

    private static double seconds(long startNanos) {
        return (System.nanoTime() - startNanos) / 1e9;
    }

    private static void assertAllSucceeded(PlanRun run) {
        assertFalse(run.all().isEmpty());
        for (Row row : run.all()) {
            assertTrue(row.result.isSuccessful(), row::toString);
        }
    }
}
