package io.github.jmeterwebrtc;

import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells about objects that were garbage collected without having been closed, and closes what they stood for.
 *
 * <p>Memory safety does not depend on it: the native side knows handles, never pointers.
 */
final class LeakAlarm {
    private static final Logger LOG = LoggerFactory.getLogger("io.github.jmeterwebrtc.leak");
    private static final ReferenceQueue<Object> COLLECTED = new ReferenceQueue<>();
    /** Keeps the references, not the objects, reachable until they are closed or collected. */
    private static final Set<Watch> WATCHES = ConcurrentHashMap.newKeySet();

    private LeakAlarm() {
    }

    /**
     * Starts to watch {@code owner}. {@code release} closes what it stands for and says whether that was still open (its
     * scope may have closed it); it must not refer to the owner.
     */
    static Watch watch(Object owner, String kind, BooleanSupplier release) {
        Watch watch = new Watch(owner, kind, release);
        WATCHES.add(watch);
        return watch;
    }

    /** Reports and releases what was collected since the last time. Called by the drain thread; returns how many. */
    static int sweep() {
        int leaks = 0;
        for (Object next = COLLECTED.poll(); next != null; next = COLLECTED.poll()) {
            Watch watch = (Watch) next;
            if (WATCHES.remove(watch) && watch.release.getAsBoolean()) {
                leaks++;
                LOG.warn("a {} was not closed and has been collected; it is closed now. Close it with close(), or use"
                        + " try-with-resources.", watch.kind);
            }
        }
        return leaks;
    }

    /** The watch over one object, held by it. */
    static final class Watch extends PhantomReference<Object> {
        private final String kind;
        private final BooleanSupplier release;

        private Watch(Object owner, String kind, BooleanSupplier release) {
            super(owner, COLLECTED);
            this.kind = kind;
            this.release = release;
        }

        /** Ends the watch: the object was closed. */
        void end() {
            WATCHES.remove(this);
            clear();
        }
    }
}
