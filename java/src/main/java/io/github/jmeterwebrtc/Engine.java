package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * The native engine of this JVM: one runtime with a few threads, started by the first {@link #get()}.
 *
 * <p>What is opened belongs to a {@link Scope}. No thread of the engine ever enters Java, so nothing that is still
 * open keeps the JVM from ending; a shutdown hook says good-bye on the wire, bounded by two seconds.
 *
 * <p>All deadlines are in milliseconds from the start of the call. A deadline that passes throws
 * {@link java.util.concurrent.TimeoutException}; a cancelled {@link Operation} throws
 * {@link java.util.concurrent.CancellationException}; a closed object throws {@link IllegalStateException}; a bad
 * argument or configuration throws {@link IllegalArgumentException} that names field and value, before any packet
 * leaves.
 */
public final class Engine {
    private static final long CLOSE_AT_EXIT_MS = 2_000;
    private static final Object LOCK = new Object();
    private static Engine instance;
    private static EngineUnavailableException failure;

    private final String version;

    private Engine(String version) {
        this.version = version;
    }

    /**
     * The engine; the first call loads the native library.
     *
     * @return the one engine of this JVM
     * @throws EngineUnavailableException with a sentence that says why the library cannot be used and what to do; once
     *                                    loading has failed, each further call fails with the same sentence
     */
    public static Engine get() {
        synchronized (LOCK) {
            if (failure != null) {
                throw new EngineUnavailableException(failure.getMessage(), failure);
            }
            if (instance == null) {
                try {
                    instance = start();
                } catch (EngineUnavailableException e) {
                    failure = e;
                    throw e;
                }
            }
            return instance;
        }
    }

    private static Engine start() {
        NativeLibrary.load();
        Drain.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> Native.closeAll(CLOSE_AT_EXIT_MS), "webrtc-close"));
        return new Engine(Json.text(Native.version()));
    }

    /**
     * Version of the native library.
     *
     * @return for example {@code 0.1.0}
     */
    public String version() {
        return version;
    }

    /**
     * Opens a scope that owns what is opened in it.
     *
     * @param parentOrNull where names are looked up that the new scope does not have; null for a scope of its own (a
     *                     test). Closing the parent closes its children.
     * @return an open scope
     */
    public Scope openScope(Scope parentOrNull) {
        return new Scope(Native.openScope(parentOrNull == null ? 0 : parentOrNull.handle()), parentOrNull);
    }

    /**
     * A fresh cancel button.
     *
     * @return to be closed by the caller
     */
    public Operation operation() {
        return new Operation(Native.newOperation());
    }

    /**
     * Asks whether this machine will hold so many softphones, and whether the servers they need answer.
     *
     * @param operation  cancels it; may be null
     * @param configJson {@code {"softphones","rampSeconds","iceServers","signaling","sourceAddress","timeoutMs",
     *                   "verifyCertificate"}}, all optional
     * @param deadlineMs for everything together
     * @return {@code {"softphones","rampSeconds","ok","checks":[{"id","name","status","finding","advice","facts"}],"table",
     *         "firstFailure"}}; a status is {@code pass}, {@code skip}, {@code warn} or {@code fail}
     * @throws EngineException                       only for what is no finding
     * @throws java.util.concurrent.TimeoutException when the deadline passed
     */
    public JsonNode preflight(Operation operation, String configJson, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException {
        return Json.parse(Native.preflight(Operation.handle(operation), Json.utf8("configuration", configJson), deadlineMs));
    }

    /**
     * Starts an embedded counterpart: signaling, answering peers and STUN, on loopback.
     *
     * @param configJson the lab's configuration; {@code {}} for the defaults
     * @param deadlineMs how long starting may take
     * @return a running lab
     * @throws EngineException                       code {@code LISTEN}: an address or port cannot be used
     * @throws java.util.concurrent.TimeoutException when the deadline passed
     */
    public Lab startLab(String configJson, long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException {
        return new Lab(Native.startLab(Json.utf8("configuration", configJson), deadlineMs));
    }

    /**
     * What the engine has done since {@link #beginTest()}, counted by its own registry, and how the process feels.
     *
     * @return {@code {"softphones":{"started","connected","failed","talking","ended","open"},
     *         "webSockets":{"opened","open","failed"}, "udpSockets":{"opened","open"},
     *         "media":{"packetsSent","packetsReceived","packetsLost","packetsSkipped","socketDrops"},
     *         "generator":{"cpuSeconds","rssMiB","receiveBufferErrors","scheduleLagP99Ms","loopLagP99Ms","fds","fdLimit",
     *         "threads","tasks"}, "uptimeSeconds"}}; once Auto ICE has found something also
     *         {@code "autoIce":{"calls","connected","failed","lost","replaced","leaked","renegotiated","offers","answers",
     *         "candidates","wouldSwap":[{"what","path","count"}],"left":[{"reason","path","count"}]}}: {@code offers},
     *         {@code answers} and {@code candidates} are what was swapped, {@code leaked} calls that only the end of their
     *         scope ended, {@code wouldSwap} what report mode would have swapped, {@code left} what was left as it is
     */
    public JsonNode snapshot() {
        return Json.parse(Native.snapshot());
    }

    /** Starts counting from zero: a second test in the same JVM starts clean. What is open stays open. */
    public void beginTest() {
        Native.beginTest();
    }

    /**
     * Closes every scope, session, socket and lab; afterwards the engine can be used on.
     *
     * @param deadlineMs after this time what is left is dropped
     */
    public void closeAll(long deadlineMs) {
        Native.closeAll(deadlineMs);
    }
}
