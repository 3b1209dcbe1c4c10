package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.WebSocketSampler;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The drop-in elements of one test: how they behave, and which thread has which connection.
 *
 * <p>A connection belongs to the JMeter thread that opened it, across iterations and users. At the end of the thread
 * {@code websocket.thread.stop.policy} decides: {@code none} (default) leaves it open until the end of the test,
 * {@code tcpClose} ends TCP, {@code wsClose} sends a close frame before that and waits for nothing. What is left at the end
 * of the test ends without a close frame. Thread safe.
 */
final class DropInTest implements AutoCloseable {
    /** JMeter property: {@code none}, {@code tcpClose} or {@code wsClose}, in any case. */
    static final String STOP_POLICY = "websocket.thread.stop.policy";

    private static final Logger LOG = LoggerFactory.getLogger(DropInTest.class);
    private static final int NORMAL_CLOSURE = 1000;
    private static final String REASON = "test thread finished";
    private static final long LAST_FRAME_MS = 500;

    private final Behaviour behaviour = Behaviour.ofProperties();
    private final InternalsNotice internals = new InternalsNotice();
    private final AtomicBoolean lateReplies = new AtomicBoolean();
    private final Set<Integer> oddPorts = ConcurrentHashMap.newKeySet();
    private final Map<Thread, Connections> byThread = new ConcurrentHashMap<>();
    /** By identity, since variables know no other equality; a thread that has ended, and its variables, are not kept for this. */
    private final Map<JMeterVariables, Connections> byVariables = Collections.synchronizedMap(new WeakHashMap<>());

    DropInTest() {
        LOG.info("jmeter-webrtc runs the WebSocket elements of this plan ({}={}){}", Behaviour.COMPAT, behaviour.mode(),
                originalIsInstalled()
                        ? "; the WebSocket Samplers plugin is installed too and takes no part: remove the jar"
                                + " jmeter-webrtc-dropin to have it back"
                        : "");
    }

    /** The drop-in elements of a test. */
    private static DropInTest of(TestRun run) {
        return run.part(DropInTest.class, DropInTest::new);
    }

    private static boolean originalIsInstalled() {
        try {
            Class.forName("eu.luminis.jmeter.wssampler.WebsocketSampler", false, DropInTest.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    Behaviour behaviour() {
        return behaviour;
    }

    /**
     * The connections of the calling thread: its own, or those of the thread whose controller started it for its children.
     *
     * @param thread    what the thread owns
     * @param variables its variables, which a Parallel Controller lends to the threads of its children
     */
    static Connections connections(ThreadScope thread, JMeterVariables variables) {
        Connections known = thread.attachment(Connections.class);
        return known != null ? known : of(thread.run()).lookUp(thread, variables);
    }

    private Connections lookUp(ThreadScope thread, JMeterVariables variables) {
        Connections own = byThread.get(Thread.currentThread());
        if (own == null && behaviour.sharesWithChildren() && variables != null) {
            Connections family = byVariables.get(variables);
            if (family != null) {
                return family;
            }
        }
        if (own == null) {
            own = new Connections(this);
            byThread.put(Thread.currentThread(), own);
            if (behaviour.sharesWithChildren() && variables != null) {
                byVariables.put(variables, own);
            }
        }
        thread.attach(own);
        return own;
    }

    /**
     * Begins the wait of a sampler. A read that has a timeout ends with that, as it always has, also when the thread group
     * ends meanwhile; one that has none ends with the thread.
     */
    static BoundedWait beginWait(WebSocketSampler sampler, ThreadScope thread) {
        JMeterContext context = sampler.getThreadContext();
        return "0".equals(sampler.getReadTimeout()) ? thread.beginWait(context) : thread.beginUncutWait(context);
    }

    /** Logs the first late reply of the test. */
    void announceLateReply(String sampler, String mark) {
        if (lateReplies.compareAndSet(false, true)) {
            LOG.warn("'{}' got {}. Each reply goes to the next sampler that reads, as it always has; response headers say"
                    + " so from now on, and this log no more", sampler, mark);
        }
    }

    /** Logs, once for each of the two ports, that a sampler connects to the port of the other scheme. */
    void announceOddPort(String sampler, Address address) {
        if (address.hasPortOfTheOtherScheme() && oddPorts.add(address.port())) {
            LOG.warn("'{}' connects {} TLS to port {}, where servers expect connections {} TLS; this log does not say so again", sampler,
                    address.isSecure() ? "with" : "without", address.port(), address.isSecure() ? "without" : "with");
        }
    }

    /** A thread with a drop-in element starts. */
    static void threadStarted(JMeterContext context) {
        try {
            of(TestRun.current()).internals.look(context);
        } catch (EngineUnavailableException e) {
            // Every sample says so; here it only means that there is nothing to look for.
            LOG.debug("{}", e.getMessage());
        }
    }

    /** The calling thread has ended. Idempotent. */
    static void threadFinished() {
        DropInTest test = TestRun.partInProgress(DropInTest.class);
        if (test != null) {
            test.finish();
        }
    }

    private void finish() {
        String policy = JMeterUtils.getPropDefault(STOP_POLICY, "none");
        boolean closes = policy.equalsIgnoreCase("wsClose");
        if (!closes && !policy.equalsIgnoreCase("tcpClose")) {
            // Left open, as a thread's end always has; they end with the test.
            return;
        }
        Connections ended = byThread.remove(Thread.currentThread());
        if (ended == null) {
            return;
        }
        for (DropInConnection connection : ended.all()) {
            if (closes) {
                sayGoodBye(connection);
            }
            connection.drop();
        }
    }

    private static void sayGoodBye(DropInConnection connection) {
        try {
            CloseFrame.send(connection, null, NORMAL_CLOSURE, REASON, LAST_FRAME_MS);
        } catch (Exception e) {
            CloseCause cause = connection.socket().closeCause();
            LOG.debug("No close frame at the end of a thread: {}", cause == null ? e.getMessage() : cause.describe());
        }
    }

    /** Ends what is left open. Idempotent. */
    @Override
    public void close() {
        for (Connections connections : byThread.values()) {
            for (DropInConnection connection : connections.all()) {
                connection.drop();
            }
        }
        byThread.clear();
        byVariables.clear();
    }

    /** The connections of one thread, by connection id. Thread safe: children of a controller share them. */
    static final class Connections {
        private final DropInTest test;
        private final Map<String, DropInConnection> byId = new ConcurrentHashMap<>();
        private final Map<String, String> lastEnds = new ConcurrentHashMap<>();

        Connections(DropInTest test) {
            this.test = test;
        }

        /** The drop-in elements of the test. */
        DropInTest test() {
            return test;
        }

        DropInConnection get(String id) {
            return byId.get(id);
        }

        void put(String id, DropInConnection connection) {
            byId.put(id, connection);
        }

        DropInConnection remove(String id) {
            return byId.remove(id);
        }

        /** A connection is of no further use: it ends, and why is remembered for those who look for it. */
        void ended(String id, DropInConnection connection) {
            CloseCause cause = connection.socket().closeCause();
            lastEnds.put(id, cause == null ? "it was closed" : cause.describe());
            byId.remove(id, connection);
            connection.drop();
        }

        /** Why the last connection of an id ended; null when there was none. */
        String lastEnd(String id) {
            return lastEnds.get(id);
        }

        Iterable<DropInConnection> all() {
            return byId.values();
        }
    }
}
