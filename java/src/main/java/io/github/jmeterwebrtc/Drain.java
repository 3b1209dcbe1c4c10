package io.github.jmeterwebrtc;

import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The daemon thread that carries the engine's log records to SLF4J, sweeps the {@link LeakAlarm} and tells the engine about
 * garbage collections: a sample taken during a long one is marked.
 *
 * <p>The engine never enters Java: it fills a bounded queue and counts what did not fit.
 */
final class Drain implements Runnable {
    /** Records of the engine appear under this name plus their module, {@code ::} written as a dot. */
    static final String LOGGER = "io.github.jmeterwebrtc.engine";
    private static final long WAIT_MS = 500;
    private static final Logger LOG = LoggerFactory.getLogger(LOGGER);

    private Drain() {
    }

    static void start() {
        Native.setLogLevel(level(LOG));
        Thread thread = new Thread(new Drain(), "webrtc-drain");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void run() {
        int level = level(LOG);
        List<GarbageCollectorMXBean> collectors = ManagementFactory.getGarbageCollectorMXBeans();
        long told = 0;
        while (true) {
            try {
                byte[] records = Native.drainLogs(WAIT_MS);
                if (records != null) {
                    write(ByteBuffer.wrap(records));
                }
                LeakAlarm.sweep();
                long paused = pausedMs(collectors);
                if (paused != told) {
                    told = paused;
                    Native.garbageCollected(paused);
                }
                // The level can be changed while JMeter runs (Options, Log Level).
                int now = level(LOG);
                if (now != level) {
                    level = now;
                    Native.setLogLevel(level);
                }
            } catch (RuntimeException e) {
                LOG.error("a batch of the engine's log records was lost", e);
            }
        }
    }

    /** Time that collections have stopped this JVM, all together. */
    private static long pausedMs(List<GarbageCollectorMXBean> collectors) {
        long total = 0;
        for (GarbageCollectorMXBean collector : collectors) {
            // The cycles of ZGC and Shenandoah run beside the program; their pauses have beans of their own.
            if (!collector.getName().endsWith("Cycles")) {
                total += Math.max(0, collector.getCollectionTime());
            }
        }
        return total;
    }

    /** A batch: number of records dropped before it (8 bytes), then per record level (1), target and text (2+n, 4+n). */
    private static void write(ByteBuffer in) {
        long dropped = in.getLong();
        if (dropped > 0) {
            LOG.warn("{} log records of the engine were dropped: they came faster than they could be written", dropped);
        }
        while (in.hasRemaining()) {
            int level = in.get();
            String target = text(in, in.getShort() & 0xffff);
            String message = text(in, in.getInt());
            write(LoggerFactory.getLogger(LOGGER + "." + target.replace("::", ".")), level, message);
        }
    }

    private static void write(Logger log, int level, String message) {
        switch (level) {
            case 1:
                log.error("{}", message);
                break;
            case 2:
                log.warn("{}", message);
                break;
            case 3:
                log.info("{}", message);
                break;
            case 4:
                log.debug("{}", message);
                break;
            default:
                log.trace("{}", message);
                break;
        }
    }

    private static String text(ByteBuffer in, int length) {
        String text = new String(in.array(), in.arrayOffset() + in.position(), length, StandardCharsets.UTF_8);
        in.position(in.position() + length);
        return text;
    }

    private static int level(Logger log) {
        return log.isTraceEnabled() ? 5
                : log.isDebugEnabled() ? 4 : log.isInfoEnabled() ? 3 : log.isWarnEnabled() ? 2 : log.isErrorEnabled() ? 1 : 0;
    }
}
