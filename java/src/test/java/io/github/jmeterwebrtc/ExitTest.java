package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class ExitTest {
    private static final List<String> OPTIONS = Collections.singletonList(
            "-D" + NativeLibrary.PATH_PROPERTY + "=" + System.getProperty(NativeLibrary.PATH_PROPERTY));

    @Test
    void aJvmThatReturnsFromMainEndsWithEverythingLeftOpen() throws Exception {
        ChildJvm child = ChildJvm.run(OPTIONS, ExitMain.class, "return");
        assertEnded(child, 0);
    }

    @Test
    void aJvmThatExitsEndsWithEverythingLeftOpen() throws Exception {
        assertEnded(ChildJvm.run(OPTIONS, ExitMain.class, "exit"), 7);
    }

    @Test
    void aJvmWhoseMainThrowsEndsWithEverythingLeftOpen() throws Exception {
        assertEnded(ChildJvm.run(OPTIONS, ExitMain.class, "throw"), 1);
    }

    @Test
    void aJvmThatIsTerminatedSaysGoodByeWithItsAccountsAndEnds() throws Exception {
        Engine engine = Engine.get();
        ExecutorService answering = Executors.newSingleThreadExecutor();
        try (Lab lab = engine.startLab("{}", 10_000); Scope scope = engine.openScope(null)) {
            Socket socket = scope.openSocket(null, "a", "{\"url\":\"" + lab.signalingUrl() + "\"}", 10_000);
            socket.register(null, "bob", 10_000);
            Future<CallOutcome> answered = answering.submit(() -> scope.answerCall(null, "call", socket, "{}", 60_000));
            Process child = ChildJvm.start(OPTIONS, System.getProperty("java.class.path"), ExitMain.class, "wait",
                    lab.signalingUrl(), "bob");
            awaitReady(child);
            Session session = answered.get().session();
            child.destroy();
            assertTrue(child.waitFor(30, TimeUnit.SECONDS), "it still runs 30 s after SIGTERM");
            assertEquals(143, child.exitValue());
            JsonNode report = session.hangUp(null, 10_000);
            assertEquals("peer", report.path("endedBy").asText(), report.toString());
            assertTrue(report.path("agrees").asBoolean(), report.toString());
        } finally {
            answering.shutdownNow();
        }
    }

    private static void awaitReady(Process child) throws IOException {
        BufferedReader printed = new BufferedReader(new InputStreamReader(child.getInputStream(), StandardCharsets.UTF_8));
        StringBuilder all = new StringBuilder();
        String line = printed.readLine();
        while (line != null && !line.startsWith("ready")) {
            all.append(line).append('\n');
            line = printed.readLine();
        }
        assertEquals("ready 2", line, all.toString());
    }

    /** The bound is generous since machines are slow at times; a JVM that hangs is killed by the test after a minute. */
    private static void assertEnded(ChildJvm child, int exitCode) {
        assertTrue(child.output.contains("call 200"), child.output);
        assertTrue(child.output.contains("ready 2"), child.output);
        assertEquals(exitCode, child.exitCode, child.output);
        assertFalse(child.output.contains("WARNING"), "-Xcheck:jni is silent: " + child.output);
        assertFalse(child.output.contains("FATAL"), "-Xcheck:jni is silent: " + child.output);
        assertTrue(child.millis < 30_000, child.millis + " ms");
    }
}
