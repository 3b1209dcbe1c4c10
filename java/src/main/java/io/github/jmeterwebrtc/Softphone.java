package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.TimeoutException;

/**
 * A softphone that is registered in the language of a profile. It takes and places calls; a connection that is lost comes back
 * as the profile says, and its calls go on meanwhile.
 *
 * <p>The softphone belongs to its {@link Scope}; this object is a reference to it, and any number of them may exist. All
 * methods may be called from any thread.
 */
public final class Softphone implements AutoCloseable {
    private final long handle;
    private final String name;
    /** Keeps the scope from being collected, and so from being closed, as long as something of it is in use. */
    private final Scope scope;

    Softphone(long handle, String name, Scope scope) {
        this.handle = handle;
        this.name = name;
        this.scope = scope;
    }

    /**
     * Where it was looked up or registered; its calls are kept there.
     *
     * @return the scope, which may be a child of the one that owns it
     */
    public Scope scope() {
        return scope;
    }

    /**
     * Its name in the scope.
     *
     * @return the empty text for a thread's one softphone
     */
    public String name() {
        return name;
    }

    /**
     * Whether it is registered now.
     *
     * @return false while it reconnects, and when it is unregistered
     */
    public boolean isRegistered() {
        return Native.isSoftphoneRegistered(handle);
    }

    /**
     * What is known of it now, without asking anybody: {@code state} ({@code registered}, {@code reconnecting},
     * {@code pending} or {@code ended}), {@code why} (null while registered), {@code nextAttemptMs} (how long until the next
     * attempt) and {@code delayMs} (how long it is waited for in all; both null unless reconnecting), {@code registrations}, {@code registeredMs} (how long it has been registered, else null),
     * {@code problems}, {@code notice}, {@code calls} (its sessions that are open), {@code callsWaiting} (calls that came in
     * and were not taken), {@code callsMissed} (calls that were over before they were taken), {@code verdict} (why it is not
     * registered, else null), {@code lastLoss} (how it lost a registration last: {@code registration} (1 for its first), {@code why},
     * {@code agoMs}, {@code cause}, {@code verdict}; null before the first loss), {@code identity}.
     *
     * @return a JSON object
     */
    public JsonNode report() {
        return Json.parse(Native.softphoneReport(handle));
    }

    /**
     * Calls somebody. The session is an ordinary one of the scope.
     *
     * @param operation  cancels it; the half-made call is hung up and closed; may be null
     * @param callName   the session's name, at most 256 characters; a session that the scope already has under the name is
     *                   hung up first
     * @param configJson {@code {"to","awaitMedia":true,"answerTimeoutMs":30000,"connectTimeoutMs","firstRtpTimeoutMs":5000}}
     * @param deadlineMs of everything together
     * @return how it went
     * @throws EngineException  only for what is not the call's outcome
     * @throws TimeoutException when {@code deadlineMs} passed before the phases' own deadlines
     */
    public CallOutcome call(Operation operation, String callName, String configJson, long deadlineMs)
            throws EngineException, TimeoutException {
        return scope.outcome(Native.softphoneCall(handle, scope.handle(), Operation.handle(operation),
                Json.utf8("name", callName), Json.utf8("configuration", configJson), deadlineMs));
    }

    /**
     * Takes the next call that comes in, or the first that waits: answers it, unless the protocol has done so already. Times
     * run from the moment it came in, never from the wait.
     *
     * @param operation  cancels it; may be null
     * @param callName   the session's name, as in {@link #call}
     * @param configJson {@code {"incomingTimeoutMs":60000,"ringMs":0,"awaitMedia":true,"answerTimeoutMs":30000,
     *                   "connectTimeoutMs","firstRtpTimeoutMs":5000}}; {@code ringMs}: let it ring that long
     * @param deadlineMs of everything together
     * @return how it went; without a call in time it is {@code SIGNALING_TIMEOUT}
     * @throws EngineException  only for what is not the call's outcome
     * @throws TimeoutException when {@code deadlineMs} passed before the phases' own deadlines
     */
    public CallOutcome answer(Operation operation, String callName, String configJson, long deadlineMs)
            throws EngineException, TimeoutException {
        return scope.outcome(Native.softphoneAnswer(handle, scope.handle(), Operation.handle(operation),
                Json.utf8("name", callName), Json.utf8("configuration", configJson), deadlineMs));
    }

    /**
     * Unregisters: says farewell, closes the connection and forgets the softphone. Calls that are up go on.
     *
     * @param operation  cancels the wait, not the unregistering; may be null
     * @param deadlineMs for the farewell
     * @return the last {@link #report()}, and {@code unregisterUs}
     * @throws EngineException only for what is not the softphone's report
     */
    public JsonNode unregister(Operation operation, long deadlineMs) throws EngineException {
        return Json.parse(Native.unregisterSoftphone(handle, Operation.handle(operation), deadlineMs));
    }

    /** Unregisters, bounded by two seconds, and forgets the softphone. Idempotent. */
    @Override
    public void close() {
        Native.closeSoftphone(handle);
    }
}
