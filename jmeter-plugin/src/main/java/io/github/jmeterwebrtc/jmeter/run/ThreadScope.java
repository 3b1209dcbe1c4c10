package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.Operation;
import io.github.jmeterwebrtc.Scope;
import io.github.jmeterwebrtc.Session;
import io.github.jmeterwebrtc.Socket;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterThread;

/**
 * What one JMeter thread owns: its engine scope with sockets and sessions, the connections and calls by the plan's names.
 *
 * <p>Used by its own JMeter thread only, besides what ends its waits. It outlives iterations; {@link TestRun} closes it at the end of the thread, or
 * of the test if the thread's end was never told.
 */
public final class ThreadScope {
    private static final String DEFAULT_CONNECTION = "default";
    /** The engine's name of the call that the plan gives none. */
    private static final String DEFAULT_CALL = "call";

    private final TestRun run;
    private final Thread owner;
    private final Scope scope;
    private final Scope kept;
    private final Map<String, Connection> connections = new HashMap<>();
    private final Map<String, PlacedCall> calls = new LinkedHashMap<>();
    private final Map<String, RegisteredSoftphone> softphones = new HashMap<>();
    private final SampleDelivery delivery = new SampleDelivery();
    /** Where messages of this thread may start calls by themselves. */
    private final Set<Scope> autoIce = new LinkedHashSet<>();
    /** The innermost wait in progress; written by the JMeter thread, looked at by the {@link StopWatch}. */
    private volatile BoundedWait wait;
    /** The operation of the last wait, if nobody has cancelled it: a busy thread needs no other. Guarded by this. */
    private Operation spare;
    /** Whether {@link #close()} was called. Written under the lock of this. */
    private volatile boolean closed;
    /** What the elements of one kind keep for this thread. */
    private Object attachment;
    /** As of the last wait that was begun. */
    private JMeterContext context;

    ThreadScope(TestRun run, Thread owner, Scope scope, Scope kept) {
        this.run = run;
        this.owner = owner;
        this.scope = scope;
        this.kept = kept;
    }

    /**
     * What this thread leaves behind: sockets that stay open after its end, until that of the test.
     *
     * @return the parent of {@link #scope()}; its own parent is the scope of the test
     */
    public Scope keptScope() {
        return kept;
    }

    /**
     * The engine scope of this thread; its parent is {@link #keptScope()}.
     *
     * @return open until the thread ends
     */
    public Scope scope() {
        return scope;
    }

    /**
     * The test this thread belongs to.
     *
     * @return the test
     */
    public TestRun run() {
        return run;
    }

    /** Whether this is what the calling thread owns in the test in progress: who has asked once need not look for it again. */
    boolean isOfCallingThread() {
        return owner == Thread.currentThread() && !closed && run.isInProgress();
    }

    /**
     * The JMeter context of the sample in progress.
     *
     * @return that of the wait that was begun last; null before the first
     */
    public JMeterContext context() {
        return context;
    }

    /**
     * What the elements of one kind keep for this thread.
     *
     * @param kind its class
     * @param <T> its class
     * @return null when nothing of that class was given to {@link #attach} last
     */
    public <T> T attachment(Class<T> kind) {
        return kind.isInstance(attachment) ? kind.cast(attachment) : null;
    }

    /**
     * Keeps something for the elements of one kind; there is one such kind.
     *
     * @param something belongs to this thread and this test
     */
    public void attach(Object something) {
        attachment = something;
    }

    /**
     * The engine's name of a connection.
     *
     * @param connectionId the plan's name; may be empty
     * @return never empty
     */
    public static String connectionName(String connectionId) {
        return connectionId.isEmpty() ? DEFAULT_CONNECTION : connectionId;
    }

    /**
     * The connection of a name, open or closed: that of this thread, or else that of the test.
     *
     * @param name never empty, see {@link #connectionName}
     * @return null when there is none
     */
    public Connection connection(String name) {
        Connection own = connections.get(name);
        if (own != null) {
            return own;
        }
        Socket shared = scope.socket(name);
        return shared == null ? null : new Connection(shared, "ws://" + shared.opened().peer() + "/");
    }

    /**
     * Remembers a connection that this thread's scope owns.
     *
     * @param name its name
     * @param connection the connection
     */
    public void remember(String name, Connection connection) {
        connections.put(name, connection);
    }

    /**
     * Drops this thread's connection of a name, without a close frame when it is still open.
     *
     * @param name its name
     */
    public void forget(String name) {
        if (connections.remove(name) != null) {
            scope.releaseSocket(name);
        }
    }

    /**
     * Calls that are not hung up yet, by call name.
     *
     * @return the live map
     */
    public Map<String, PlacedCall> calls() {
        return calls;
    }

    /**
     * Softphones that are not unregistered yet, by name; the engine scope of this thread owns them.
     *
     * @return the live map
     */
    public Map<String, RegisteredSoftphone> softphones() {
        return softphones;
    }

    /**
     * Messages that go through a scope may start calls by themselves from now on: what becomes of them is told before the samples of
     * this thread and at its end.
     *
     * @param owner the scope of the socket or channel: of this thread, what it leaves behind, or of the test
     */
    public void watchAutoIce(Scope owner) {
        autoIce.add(owner);
    }

    /**
     * The call of a name that a message of the plan has started.
     *
     * @param name its call name; empty = the newest
     * @return null when there is none
     */
    public PlacedCall autoIceCall(String name) {
        Session session = autoIce.isEmpty() ? null : scope.session(name.isEmpty() ? DEFAULT_CALL : name);
        return session == null ? null : new PlacedCall(name, session);
    }

    /**
     * Remembers who listens to the samples of this thread, for elements that are no samplers.
     *
     * @param context the thread's JMeter context
     */
    public void remember(JMeterContext context) {
        delivery.remember(context);
    }

    /** Tells before a sample what calls have come to meanwhile. */
    void beforeSample(JMeterContext context) {
        if (calls.isEmpty() && (autoIce.isEmpty() || !Scope.autoIceWaitsAnywhere())) {
            return;
        }
        delivery.remember(context);
        if (!calls.isEmpty()) {
            reportLostCalls();
        }
        for (Scope owner : autoIce) {
            if (owner.autoIceWaiting() > 0) {
                AutoIceCalls.tell(owner.takeAutoIce(), delivery);
            }
        }
    }

    /** The thread ends: so do the calls that its messages have started, and what is left to tell is told. */
    void end(long deadlineMs) {
        reportLostCalls();
        for (Scope owner : autoIce) {
            AutoIceCalls.tell(owner == run.testScope() ? owner.takeAutoIce() : owner.endAutoIce(deadlineMs), delivery);
        }
    }

    /**
     * Begins the wait of one sample.
     *
     * @param context the thread's JMeter context
     * @return to be closed at the end of the sample
     */
    public BoundedWait beginWait(JMeterContext context) {
        return begin(context, context.getThread());
    }

    /**
     * Begins a wait that only an interrupt shortens: neither the end time of the JMeter thread nor a shutdown does.
     *
     * @param context the thread's JMeter context
     * @return to be closed at the end of the sample
     */
    public BoundedWait beginUncutWait(JMeterContext context) {
        return begin(context, null);
    }

    private BoundedWait begin(JMeterContext inProgress, JMeterThread stoppedWith) {
        context = inProgress;
        delivery.remember(inProgress);
        BoundedWait begun = new BoundedWait(this, wait, takeOperation(), stoppedWith);
        wait = begun;
        return begun;
    }

    private synchronized Operation takeOperation() {
        Operation kept = spare;
        spare = null;
        return kept == null ? run.engine().operation() : kept;
    }

    /** A wait is over: nobody can cancel its operation any more. */
    void endWait(BoundedWait ended) {
        if (wait == ended) {
            wait = ended.outer();
        }
        Operation operation = ended.operation();
        synchronized (this) {
            if (!closed && spare == null && !operation.isCancelled()) {
                spare = operation;
                return;
            }
        }
        operation.close();
    }

    /** Ends the waits in progress whose JMeter thread has to stop; called by the {@link StopWatch}. */
    void lookAtWaits() {
        for (BoundedWait looked = wait; looked != null; looked = looked.outer()) {
            looked.look();
        }
    }

    /** Gives back what only waits need. Does not touch the scopes. */
    void close() {
        Operation kept;
        synchronized (this) {
            closed = true;
            kept = spare;
            spare = null;
        }
        if (kept != null) {
            kept.close();
        }
    }

    /** Emits a {@code WebRTC lost} sample for every call that was lost since the last look. */
    public void reportLostCalls() {
        LostCalls.report(calls.values(), delivery);
    }

    /**
     * Emits the {@code WebRTC lost} sample of a call that was found lost only when it was hung up.
     *
     * @param call the call
     * @param report the engine's report of the hang-up
     */
    public void reportIfLost(PlacedCall call, JsonNode report) {
        if (!call.isLost() && report.path("lost").isObject()) {
            LostCalls.tell(call, report, delivery);
        }
    }
}
