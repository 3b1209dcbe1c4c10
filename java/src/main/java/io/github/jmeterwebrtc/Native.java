package io.github.jmeterwebrtc;

/**
 * Every function of the native library, and nothing else. The library registers exactly these when it is loaded.
 *
 * <p>Handles are generational: 0, a forged one and one that was closed give {@link IllegalStateException}, except where
 * a function says otherwise. Where an operation is asked for, 0 means none. Texts and JSON are UTF-8. Deadlines are in
 * ms. Besides the declared exceptions of the typed classes every function may throw {@link EngineException} with code
 * {@code NATIVE_PANIC}.
 */
final class Native {
    /** Must equal the native side's number; it changes with every change of meaning that a signature does not show. */
    static final int ABI = 3;

    private Native() {
    }

    static native int abi();

    static native byte[] version();

    /** Packed records, see {@link Drain}; waits at most this long for the first; null when there was none. */
    static native byte[] drainLogs(long waitMs);

    /** 0 off, 1 error … 5 trace. */
    static native void setLogLevel(int level);

    static native byte[] snapshot();

    static native void beginTest();

    /** How long the collectors have paused this JVM since it started, all together. */
    static native void garbageCollected(long totalMs);

    static native void closeAll(long deadlineMs);

    static native long newOperation();

    /** Never throws for a stale handle: a cancel may race the end of its operation. */
    static native void cancelOperation(long operation);

    /** Whether there was something to end. */
    static native boolean endOperation(long operation);

    /** A parent of 0 makes a scope without one. */
    static native long openScope(long parent);

    static native byte[] closeScope(long scope, long deadlineMs);

    static native boolean isScopeClosed(long scope);

    static native long openSocket(long scope, long operation, byte[] name, byte[] config, long deadlineMs)
            throws EngineException;

    /** 0 when there is none. */
    static native long findSocket(long scope, byte[] name);

    static native void releaseSocket(long scope, byte[] name);

    /** Where a direct buffer begins. */
    static native long addressOf(java.nio.ByteBuffer memory);

    static native byte[] socketOpened(long socket);

    /** Bytes on the wire, and ns from the start of the call until they were with the kernel. */
    static native long[] sendFrame(long socket, long operation, int opcode, boolean fin, byte[] payload,
            long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException;

    /**
     * Sends the payload, which lies in the memory where the array is null, and then receives as {@link #receiveFrame} does. What
     * sending did is in the memory, also when only receiving failed.
     */
    static native byte[] exchangeFrames(long socket, long operation, int opcode, boolean fin, byte[] payload, int length,
            long memory, long sendDeadlineMs, long receiveDeadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    /** Puts a frame into the memory of {@link FrameMemory#address()}; gives the payload that is too long for it, else null. */
    static native byte[] receiveFrame(long socket, long operation, long memory, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    /** As {@link #receiveFrame}. */
    static native byte[] receiveMatching(long socket, long operation, byte[] matcher, long memory, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] register(long socket, long operation, byte[] name, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] closeSocketWith(long socket, long operation, int status, byte[] reason, long deadlineMs);

    static native void abortSocket(long socket);

    /** Null while open. */
    static native byte[] closeCause(long socket);

    /** False for a stale handle. */
    static native boolean isSocketOpen(long socket);

    static native byte[] socketCounters(long socket);

    /** Does nothing for a stale handle. */
    static native void closeSocket(long socket);

    /** {@code {"outcome":{…},"session":handle or null}}. */
    static native byte[] placeCall(long scope, long operation, byte[] name, long socket, byte[] config,
            long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] answerCall(long scope, long operation, byte[] name, long socket, byte[] config,
            long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException;

    /** 0 when there is none. */
    static native long findSession(long scope, byte[] name);

    static native long newSession(long scope, long operation, byte[] name, byte[] config) throws EngineException;

    static native byte[] createOffer(long session, long operation, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] createAnswer(long session, long operation, byte[] offer, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native void setRemoteAnswer(long session, long operation, byte[] answer, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native void addIceCandidate(long session, byte[] candidate) throws EngineException;

    /** Null at the end of candidates. */
    static native byte[] nextLocalCandidate(long session, long operation, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] await(long session, long operation, byte[] state, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] connectionState(long session);

    /** False for a stale handle. */
    static native boolean isSessionLost(long session);

    static native byte[] sessionReport(long session);

    static native byte[] check(long session, long operation, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] stats(long session, long operation, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] hangUp(long session, long operation, long deadlineMs) throws EngineException;

    /** Does nothing for a stale handle. */
    static native void closeSession(long session);

    static native byte[] controlSession(long session, long operation, byte[] command, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    /** {@code {"outcome":{…},"softphone":handle or null}}. */
    static native byte[] registerSoftphone(long scope, long operation, byte[] name, byte[] config, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    /** 0 when there is none. */
    static native long findSoftphone(long scope, byte[] name);

    /** False for a stale handle. */
    static native boolean isSoftphoneRegistered(long softphone);

    static native byte[] softphoneReport(long softphone);

    /** {@code {"outcome":{…},"session":handle or null}}; the session is kept in {@code scope}. */
    static native byte[] softphoneCall(long softphone, long scope, long operation, byte[] name, byte[] config,
            long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] softphoneAnswer(long softphone, long scope, long operation, byte[] name, byte[] config,
            long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] unregisterSoftphone(long softphone, long operation, long deadlineMs) throws EngineException;

    /** Does nothing for a stale handle. */
    static native void closeSoftphone(long softphone);

    /** 0 when there is nothing to take; costs one atomic read then. */
    static native long autoIceWaiting(long scope);

    /** Eight bytes that always are how many results wait in all scopes, in the machine's byte order. Not to be written. */
    static native java.nio.ByteBuffer autoIceWaitingAnywhere();

    /** A JSON array; null when there is nothing to take. */
    static native byte[] takeAutoIce(long scope);

    /** Hangs up the calls of Auto ICE in this scope and takes what is left to tell; null when there is nothing. */
    static native byte[] endAutoIce(long scope, long deadlineMs);

    /** The channel of that name in this scope; made by the first call, later ones change its configuration. */
    static native long autoIceChannel(long scope, byte[] name, byte[] config);

    /** What goes out instead; null when the message goes out as it is. A context of null is an empty one. */
    static native byte[] autoIceOutgoing(long channel, long operation, byte[] message, byte[] context, long deadlineMs)
            throws java.util.concurrent.TimeoutException;

    /** A context of null is an empty one. */
    static native void autoIceIncoming(long channel, byte[] message, byte[] context);

    static native byte[] autoIceOffer(long scope, long operation, byte[] name, byte[] config, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    /** An offer of null is the one that was applied under the name. */
    static native byte[] autoIceAnswer(long scope, long operation, byte[] name, byte[] config, byte[] offer,
            long deadlineMs) throws EngineException, java.util.concurrent.TimeoutException;

    /** Null when there is none. */
    static native byte[] autoIceCandidate(long scope, long operation, byte[] name, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native void autoIceApply(long scope, long operation, byte[] name, byte[] type, byte[] text, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] preflight(long operation, byte[] config, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    /** Arguments end with NUL each; exit status in one byte, then the text. */
    static native byte[] doctor(byte[] arguments) throws EngineException;

    static native long startLab(byte[] config, long deadlineMs)
            throws EngineException, java.util.concurrent.TimeoutException;

    static native byte[] labUrls(long lab);

    static native byte[] labCounters(long lab);

    /** The last counters; null for a stale handle. */
    static native byte[] stopLab(long lab, long deadlineMs);
}
