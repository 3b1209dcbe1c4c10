package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.Operation;
import org.apache.jmeter.threads.JMeterThread;

/**
 * One sample's right to wait in the engine: its {@link Operation}, its deadline and its reasons to stop early.
 *
 * <p>Guarantees: a wait begun here ends (1) at the caller's timeout, (2) at the end time of a scheduled JMeter thread,
 * (3) within {@link StopWatch#PERIOD_MS} of Shutdown, which only sets a flag in JMeter, and (4) at once, in a read of a frame
 * within 100 ms, on {@link #cancel()}, which {@code Interruptible.interrupt()} calls. The cancel is not sticky: an operation goes on to the
 * thread's next wait only if nobody has cancelled it, and a cancel that comes after {@link #close()} does nothing. Closing
 * twice is harmless.
 */
public final class BoundedWait implements AutoCloseable {
    /** Deadline of a wait that the plan left open ({@code readTimeout=0}): one day, in ms. */
    public static final long FOREVER_MS = 24L * 60 * 60 * 1000;

    private final ThreadScope owner;
    private final BoundedWait outer;
    private final Operation operation;
    private final JMeterThread thread;
    private volatile String endedBy;
    /** Guarded by this: between closing and cancelling one comes first. */
    private boolean closed;

    /**
     * Begins a wait.
     *
     * @param owner what the JMeter thread owns; told when the wait is over
     * @param outer the wait of the same thread that is in progress already; null = none
     * @param operation of this wait alone, until it is closed
     * @param thread whose stop flag and end time end the wait; null = neither does
     */
    BoundedWait(ThreadScope owner, BoundedWait outer, Operation operation, JMeterThread thread) {
        this.owner = owner;
        this.outer = outer;
        this.operation = operation;
        this.thread = thread;
    }

    /** The wait of the same thread that this one began within; null = none. */
    BoundedWait outer() {
        return outer;
    }

    /**
     * The engine operation that every blocking call of this sample takes.
     *
     * @return the operation
     */
    public Operation operation() {
        return operation;
    }

    /**
     * Clips a timeout to the thread's end time.
     *
     * @param timeoutMs wanted timeout in ms; 0 = no end of its own ({@link #FOREVER_MS})
     * @return what may be waited, at least 1 ms
     */
    public long clip(long timeoutMs) {
        long wanted = timeoutMs <= 0 ? FOREVER_MS : timeoutMs;
        long end = endTime();
        return end == 0 ? wanted : Math.max(1, Math.min(wanted, end - System.currentTimeMillis()));
    }

    /** Ends the wait now. Never blocks; may be called from any thread, more than once. */
    public void cancel() {
        end("interrupted");
    }

    /**
     * Why the wait was ended early, if it was.
     *
     * @return "interrupted", "the test is being shut down", "the end time of the thread group", or null
     */
    public String endedBy() {
        String reason = endedBy;
        return reason == null && isPastEndTime() ? "the end time of the thread group" : reason;
    }

    /** Looks at the thread's stop flag and end time; called by the {@link StopWatch}. */
    void look() {
        if (StopFlag.isStopped(thread)) {
            end("the test is being shut down");
        } else if (isPastEndTime()) {
            end("the end time of the thread group");
        }
    }

    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        owner.endWait(this);
    }

    private synchronized void end(String reason) {
        if (closed) {
            return;
        }
        if (endedBy == null) {
            endedBy = reason;
        }
        operation.cancel();
    }

    private boolean isPastEndTime() {
        long end = endTime();
        return end != 0 && System.currentTimeMillis() >= end;
    }

    private long endTime() {
        return thread == null ? 0 : thread.getEndTime();
    }
}
