package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.TimeoutException;

/**
 * Owner of named sockets and sessions: a test, or a thread whose scope has the test's as parent.
 *
 * <p>Names are free; a socket and a session may have the same one. A name is looked up here first, then in the parent.
 * Closing a scope closes what it owns: calls say good-bye (bounded by 2 s, all at once), then sockets close with status
 * 1000 (bounded by 500 ms), then TCP. All methods may be called from any thread.
 */
public final class Scope implements AutoCloseable {
    private static final long CLOSE_MS = 3_000;

    private final long handle;
    private final LeakAlarm.Watch watch;
    private final Scope parent;

    Scope(long handle, Scope parent) {
        this.handle = handle;
        this.parent = parent;
        this.watch = LeakAlarm.watch(this, "scope", () -> closeIfOpen(handle));
    }

    private static boolean closeIfOpen(long handle) {
        if (Native.isScopeClosed(handle)) {
            return false;
        }
        Native.closeScope(handle, CLOSE_MS);
        return true;
    }

    long handle() {
        return handle;
    }

    /**
     * Where names are looked up that this scope does not have; as long as this scope is in use, so is its parent.
     *
     * @return null for a scope of its own
     */
    public Scope parent() {
        return parent;
    }

    /**
     * Opens a WebSocket and keeps it under a name. A socket that this scope already has under the name is aborted first.
     *
     * @param operation  cancels it; may be null
     * @param name       the name, at most 256 characters
     * @param configJson configuration of the socket ({@code url} is the only field that must be there)
     * @param deadlineMs of all phases together; the phases have deadlines of their own in the configuration
     * @return an open socket
     * @throws EngineException code {@code DNS}, {@code CONNECT}, {@code CONNECT_TIMEOUT}, {@code TLS}, {@code PROXY},
     *                         {@code UPGRADE_STATUS}, {@code UPGRADE}, {@code TIMEOUT} (also for {@code deadlineMs}) or
     *                         {@code CLOSED}; the details carry status line, headers, errno
     */
    public Socket openSocket(Operation operation, String name, String configJson, long deadlineMs)
            throws EngineException {
        return new Socket(Native.openSocket(handle, Operation.handle(operation), Json.utf8("name", name),
                Json.utf8("configuration", configJson), deadlineMs), this);
    }

    /**
     * The socket of that name, here or in the parent, open or not.
     *
     * @param name the name
     * @return null if there is none
     */
    public Socket socket(String name) {
        long socket = Native.findSocket(handle, Json.utf8("name", name));
        return socket == 0 ? null : new Socket(socket, this);
    }

    /**
     * Forgets the socket of that name in this scope and drops its TCP connection. Does nothing if there is none.
     *
     * @param name the name
     */
    public void releaseSocket(String name) {
        Native.releaseSocket(handle, Json.utf8("name", name));
    }

    /**
     * Calls somebody over an open signaling socket: offer, answer, ICE, DTLS, first RTP packet.
     *
     * @param operation      cancels it; the half-made call is hung up and closed; may be null
     * @param name           the session's name, at most 256 characters; a session that this scope already has under the
     *                       name is hung up first
     * @param signaling      an open socket; frames that do not belong to the call stay for its other readers
     * @param callConfigJson configuration of the call; {@code {}} for the defaults
     * @param deadlineMs     of everything together; the phases have deadlines of their own in the configuration
     * @return how it went
     * @throws EngineException  only for what is not the call's outcome
     * @throws TimeoutException when {@code deadlineMs} passed before the phases' own deadlines
     */
    public CallOutcome placeCall(Operation operation, String name, Socket signaling, String callConfigJson,
            long deadlineMs) throws EngineException, TimeoutException {
        return outcome(Native.placeCall(handle, Operation.handle(operation), Json.utf8("name", name),
                signaling.handle(), Json.utf8("configuration", callConfigJson), deadlineMs));
    }

    /**
     * Waits for the next call on a signaling socket that was {@linkplain Socket#register registered}, and answers it.
     *
     * @param operation      cancels it; may be null
     * @param name           the session's name, as in {@link #placeCall}
     * @param signaling      an open, registered socket
     * @param callConfigJson configuration of the call; {@code {}} for the defaults
     * @param deadlineMs     for an offer to come, and of everything after it
     * @return how it went
     * @throws EngineException  only for what is not the call's outcome
     * @throws TimeoutException when {@code deadlineMs} passed
     */
    public CallOutcome answerCall(Operation operation, String name, Socket signaling, String callConfigJson,
            long deadlineMs) throws EngineException, TimeoutException {
        return outcome(Native.answerCall(handle, Operation.handle(operation), Json.utf8("name", name),
                signaling.handle(), Json.utf8("configuration", callConfigJson), deadlineMs));
    }

    private CallOutcome outcome(byte[] answer) {
        JsonNode json = Json.parse(answer);
        JsonNode session = json.path("session");
        return new CallOutcome(json.path("outcome"), session.isNumber() ? new Session(session.asLong(), this) : null);
    }

    /**
     * The session of that name, here or in the parent, in whatever state.
     *
     * @param name the name
     * @return null if there is none
     */
    public Session session(String name) {
        long session = Native.findSession(handle, Json.utf8("name", name));
        return session == 0 ? null : new Session(session, this);
    }

    /**
     * Makes a session without signaling of ours: the plan carries offer, answer and candidates. No packet leaves yet.
     *
     * @param operation         cancels it; may be null
     * @param name              the session's name; a session that this scope already has under it is closed first
     * @param sessionConfigJson configuration of the session; {@code {}} for the defaults
     * @return a new session
     * @throws EngineException code {@code UDP_SOCKET}: no socket could be bound
     */
    public Session newSession(Operation operation, String name, String sessionConfigJson) throws EngineException {
        return new Session(Native.newSession(handle, Operation.handle(operation), Json.utf8("name", name),
                Json.utf8("configuration", sessionConfigJson)), this);
    }

    /**
     * Closes what the scope owns, and the scopes under it. Idempotent: a second close finds nothing left.
     *
     * @param deadlineMs after this time what is left is dropped
     * @return {@code {"sockets":[{"name","cause"}],"sessions":[{"name","state","report"}],"scopes":n}}
     */
    public JsonNode close(long deadlineMs) {
        watch.end();
        return Json.parse(Native.closeScope(handle, deadlineMs));
    }

    /** Closes the scope, bounded by three seconds. */
    @Override
    public void close() {
        close(CLOSE_MS);
    }

    /**
     * Whether the scope was closed, by itself, with its parent or by {@link Engine#closeAll}.
     *
     * @return true once it owns nothing and takes nothing more
     */
    public boolean isClosed() {
        return Native.isScopeClosed(handle);
    }
}
