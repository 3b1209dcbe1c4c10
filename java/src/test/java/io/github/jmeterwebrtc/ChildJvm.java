package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A JVM of its own: what it printed, how it ended and how long it took. */
final class ChildJvm {
    final String output;
    final int exitCode;
    final long millis;

    private ChildJvm(String output, int exitCode, long millis) {
        this.output = output;
        this.exitCode = exitCode;
        this.millis = millis;
    }

    /** Runs {@code main} of a class with this JVM's class path; the run is killed, and the test fails, after a minute. */
    static ChildJvm run(List<String> options, Class<?> main, String... arguments) throws IOException, InterruptedException {
        return run(options, System.getProperty("java.class.path"), main, arguments);
    }

    static ChildJvm run(List<String> options, String classPath, Class<?> main, String... arguments)
            throws IOException, InterruptedException {
        Process process = start(options, classPath, main, arguments);
        long begun = System.nanoTime();
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        Thread reader = new Thread(() -> copy(process.getInputStream(), printed), "child output");
        reader.start();
        boolean ended = process.waitFor(60, TimeUnit.SECONDS);
        if (!ended) {
            process.destroyForcibly();
        }
        reader.join(10_000);
        String output = new String(printed.toByteArray(), StandardCharsets.UTF_8);
        assertTrue(ended, "the child JVM did not end within a minute; it printed: " + output);
        long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
        return new ChildJvm(output, process.exitValue(), millis);
    }

    static Process start(List<String> options, String classPath, Class<?> main, String... arguments)
            throws IOException {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java");
        command.add("-Xmx64m");
        command.add("-Xcheck:jni");
        command.addAll(options);
        command.add("-cp");
        command.add(classPath);
        command.add(main.getName());
        command.addAll(Arrays.asList(arguments));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    private static void copy(InputStream from, ByteArrayOutputStream to) {
        byte[] part = new byte[4096];
        try {
            for (int n = from.read(part); n >= 0; n = from.read(part)) {
                to.write(part, 0, n);
            }
        } catch (IOException e) {
            // The stream ends with the process; what came until then is what there is.
            to.write('\n');
        }
    }
}
