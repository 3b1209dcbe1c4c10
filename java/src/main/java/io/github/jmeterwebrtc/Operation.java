package io.github.jmeterwebrtc;

import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The cancel button of one blocking call, or of the calls of one sample.
 *
 * <p>Any thread may {@link #cancel()} at any time: a call that is parked with this operation ends at once, one that waits
 * for a frame within 100 ms, with {@link java.util.concurrent.CancellationException}, and a call that is made with it later
 * does not start. Nothing else is touched: the socket or session stays usable with the next operation. Where a method takes
 * an operation, {@code null} means that nobody can cancel the call (its deadline still holds).
 */
public final class Operation implements AutoCloseable {
    private final long handle;
    private final LeakAlarm.Watch watch;
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile boolean cancelled;

    Operation(long handle) {
        this.handle = handle;
        this.watch = LeakAlarm.watch(this, "operation", () -> Native.endOperation(handle));
    }

    /** Ends what is parked with this operation. Never blocks; does nothing after {@link #close()}. */
    public void cancel() {
        if (!closed.get()) {
            cancelled = true;
            Native.cancelOperation(handle);
        }
    }

    /**
     * Whether somebody cancelled.
     *
     * @return true from the first {@link #cancel()} on
     */
    public boolean isCancelled() {
        return cancelled;
    }

    /** Gives the operation back. Idempotent. A call that is still parked with it goes on to its own end. */
    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            watch.end();
            Native.endOperation(handle);
        }
    }

    static long handle(Operation operation) {
        return operation == null ? 0 : operation.handle;
    }
}
