package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class ExitTest {
    private static final java.util.List<String> OPTIONS = Collections.singletonList(
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
    void aJvmThatIsTerminatedSaysGoodByeAndEnds() throws Exception {
        Process child = ChildJvm.start(OPTIONS, System.getProperty("java.class.path"), ExitMain.class, "wait");
        BufferedReader printed = new BufferedReader(new InputStreamReader(child.getInputStream(), StandardCharsets.UTF_8));
        String line = printed.readLine();
        while (line != null && !line.startsWith("ready")) {
            line = printed.readLine();
        }
        assertEquals("ready 2", line);
        long begun = System.nanoTime();
        child.destroy();
        assertTrue(child.waitFor(20, TimeUnit.SECONDS), "it still runs 20 s after SIGTERM");
        long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
        assertEquals(143, child.exitValue());
        assertTrue(millis < 10_000, millis + " ms");
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
