package io.github.jmeterwebrtc.jmeter.run;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks at all waits in progress a few times a second and ends those whose JMeter thread has to stop.
 *
 * <p>One daemon thread for the whole test, from {@link #StopWatch()} until {@link #stop()}. It only cancels engine
 * operations, which never blocks.
 */
final class StopWatch {
    /** How often it looks, ms: Shutdown and the scheduler end a wait within this time. */
    static final long PERIOD_MS = 200;

    private static final Logger LOG = LoggerFactory.getLogger(StopWatch.class);

    private final Set<BoundedWait> waits = ConcurrentHashMap.newKeySet();
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "webrtc-stop-watch");
        thread.setDaemon(true);
        return thread;
    });

    StopWatch() {
        clock.scheduleWithFixedDelay(this::lookAtAll, PERIOD_MS, PERIOD_MS, TimeUnit.MILLISECONDS);
    }

    void add(BoundedWait wait) {
        waits.add(wait);
    }

    void remove(BoundedWait wait) {
        waits.remove(wait);
    }

    void stop() {
        clock.shutdownNow();
    }

    private void lookAtAll() {
        for (BoundedWait wait : waits) {
            try {
                wait.look();
            } catch (RuntimeException e) {
                // One wait that cannot be looked at must not end the watch over all others.
                LOG.error("A wait could not be checked for the end of its thread", e);
            }
        }
    }
}
