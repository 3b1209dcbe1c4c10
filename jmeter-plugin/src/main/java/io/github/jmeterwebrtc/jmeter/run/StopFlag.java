package io.github.jmeterwebrtc.jmeter.run;

import java.lang.reflect.Field;
import org.apache.jmeter.threads.JMeterThread;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The stop flag of a JMeter thread.
 *
 * <p>JMeter's Shutdown (as against Stop) interrupts nothing: it sets the private field {@code JMeterThread.running} to
 * false, and there is no public way to read it (5.5 to 5.6.3). Where that field cannot be read, a shutdown waits for
 * samples in progress, as it does without this plugin, and that is logged once.
 */
final class StopFlag {
    private static final Logger LOG = LoggerFactory.getLogger(StopFlag.class);
    private static final Field RUNNING = runningField();

    private StopFlag() {
    }

    /**
     * Whether JMeter wants this thread to end.
     *
     * @param thread the JMeter thread; null = not in a test, never stopped
     */
    static boolean isStopped(JMeterThread thread) {
        if (thread == null || RUNNING == null) {
            return false;
        }
        try {
            return !RUNNING.getBoolean(thread);
        } catch (IllegalAccessException e) {
            throw new IllegalStateException("JMeterThread.running was readable when this class was loaded", e);
        }
    }

    /**
     * Whether JMeter wants this thread to go on, as far as can be known.
     *
     * @param thread the JMeter thread; null = not in a test
     * @return false when in doubt
     */
    static boolean isSurelyRunning(JMeterThread thread) {
        return thread != null && RUNNING != null && !isStopped(thread);
    }

    private static Field runningField() {
        try {
            Field field = JMeterThread.class.getDeclaredField("running");
            field.setAccessible(true);
            return field;
        } catch (NoSuchFieldException | RuntimeException e) {
            LOG.warn("JMeterThread.running cannot be read ({}): Shutdown will wait for samples in progress", e.toString());
            return null;
        }
    }
}
