package io.github.jmeterwebrtc.jmeter.run;

import java.util.Collection;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks at all waits in progress a few times a second and ends those whose JMeter thread has to stop.
 *
 * <p>One daemon thread for the whole test, from its construction until {@link #stop()}. It only cancels engine
 * operations, which never blocks.
 */
final class StopWatch {
    /** How often it looks, ms: Shutdown and the scheduler end a wait within this time. */
    static final long PERIOD_MS = 200;

    private static final Logger LOG = LoggerFactory.getLogger(StopWatch.class);

    private final Collection<ThreadScope> threads;
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "webrtc-stop-watch");
        thread.setDaemon(true);
        return thread;
    });

    /**
     * Begins to look.
     *
     * @param threads the threads whose waits it looks at, live
     */
    StopWatch(Collection<ThreadScope> threads) {
        this.threads = threads;
        clock.scheduleWithFixedDelay(this::lookAtAll, PERIOD_MS, PERIOD_MS, TimeUnit.MILLISECONDS);
    }

    void stop() {
        clock.shutdownNow();
    }

    private void lookAtAll() {
        for (ThreadScope thread : threads) {
            try {
                thread.lookAtWaits();
            } catch (RuntimeException e) {
                // One wait that cannot be looked at must not end the watch over all others.
                LOG.error("A wait could not be checked for the end of its thread", e);
            }
        }
    }
}
