package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.Engine;
import java.io.PrintStream;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Prints one line about the test every {@code webrtc.progress_s} seconds (JMeter property; default 0 = never).
 *
 * <p>Runs on a daemon thread between start and {@link #stop()}, which prints the last line.
 */
final class ProgressLine {
    private static final Logger LOG = LoggerFactory.getLogger(ProgressLine.class);
    private static final double NANOS_PER_SECOND = 1e9;

    private final Engine engine;
    private final PrintStream out;
    private final ScheduledExecutorService clock;
    private double lastCpuSeconds;
    private long lastNanos;

    private ProgressLine(Engine engine, PrintStream out, ScheduledExecutorService clock) {
        this.engine = engine;
        this.out = out;
        this.clock = clock;
        this.lastNanos = System.nanoTime();
        if (clock != null) {
            lastCpuSeconds = engine.snapshot().path("generator").path("cpuSeconds").asDouble();
        }
    }

    static ProgressLine startIfWanted(Engine engine) {
        int seconds = JMeterUtils.getPropDefault("webrtc.progress_s", 0);
        if (seconds <= 0) {
            return new ProgressLine(engine, System.out, null);
        }
        ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(task -> {
            Thread thread = new Thread(task, "webrtc-progress");
            thread.setDaemon(true);
            return thread;
        });
        ProgressLine line = new ProgressLine(engine, System.out, clock);
        clock.scheduleAtFixedRate(line::print, seconds, seconds, TimeUnit.SECONDS);
        return line;
    }

    void stop() {
        if (clock != null) {
            clock.shutdownNow();
            print();
        }
    }

    private synchronized void print() {
        try {
            JsonNode snapshot = engine.snapshot();
            long now = System.nanoTime();
            double cpuSeconds = snapshot.path("generator").path("cpuSeconds").asDouble();
            double seconds = (now - lastNanos) / NANOS_PER_SECOND;
            double cpuPercent = seconds > 0 ? (cpuSeconds - lastCpuSeconds) / seconds * 100 : 0;
            lastCpuSeconds = cpuSeconds;
            lastNanos = now;
            out.println(line(snapshot, cpuPercent));
            out.flush();
        } catch (RuntimeException e) {
            // A periodic task that throws is silently never run again.
            LOG.warn("The progress line could not be made", e);
        }
    }

    /** The line for a snapshot; pure. */
    static String line(JsonNode snapshot, double cpuPercent) {
        JsonNode phones = snapshot.path("softphones");
        JsonNode media = snapshot.path("media");
        JsonNode generator = snapshot.path("generator");
        JsonNode lag = generator.path("loopLagP99Ms");
        return String.format(Locale.ROOT,
                "WebRTC  %,d connected  %,d failed  %,d talking | packets %,d out %,d in %,d lost"
                        + " | generator cpu %.0f %% lag p99 %.1f ms rcvbuf errors %,d",
                phones.path("connected").asLong(), phones.path("failed").asLong(), phones.path("talking").asLong(),
                media.path("packetsSent").asLong(), media.path("packetsReceived").asLong(),
                media.path("packetsLost").asLong(), cpuPercent, lag.asDouble(),
                generator.path("receiveBufferErrors").asLong());
    }
}
