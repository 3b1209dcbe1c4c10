package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
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

    /**
     * Registers a softphone in the language of a profile, and keeps it under a name. A softphone that this scope already has
     * under the name is unregistered first. Afterwards it stays registered until it is unregistered or the scope closes.
     *
     * @param operation  cancels it; may be null
     * @param name       the name, at most 256 characters; empty for the one softphone of a thread
     * @param configJson {@code {"profile":"genesys","profilesDir":"/my/profiles","params":{"token":"…"},"session":{…},
     *                   "trust":{…},"byeTimeoutMs":5000}}; only {@code profile} must be there: a name, or the path of a file
     * @param deadlineMs for becoming registered; the profile's own limit counts, too
     * @return how it went
     * @throws EngineException  only for what is not the registration's outcome
     * @throws TimeoutException when the engine could not even say how it went
     */
    public Registered registerSoftphone(Operation operation, String name, String configJson, long deadlineMs)
            throws EngineException, TimeoutException {
        JsonNode json = Json.parse(Native.registerSoftphone(handle, Operation.handle(operation), Json.utf8("name", name),
                Json.utf8("configuration", configJson), deadlineMs));
        JsonNode softphone = json.path("softphone");
        return new Registered(json.path("outcome"),
                softphone.isNumber() ? new Softphone(softphone.asLong(), name, this) : null);
    }

    /**
     * The softphone of that name, here or in the parent, registered or not.
     *
     * @param name the name
     * @return null if there is none
     */
    public Softphone findSoftphone(String name) {
        long softphone = Native.findSoftphone(handle, Json.utf8("name", name));
        return softphone == 0 ? null : new Softphone(softphone, name, this);
    }

    CallOutcome outcome(byte[] answer) {
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
     * How many results of Auto ICE calls of this scope wait to be {@linkplain #takeAutoIce() taken}. Meant to be asked before
     * each sample: it costs one read of memory as long as no result waits anywhere.
     *
     * @return 0 also for a closed scope
     */
    public long autoIceWaiting() {
        return autoIceWaitsAnywhere() ? Native.autoIceWaiting(handle) : 0;
    }

    /**
     * Whether results of Auto ICE calls wait in any scope: a read of memory.
     *
     * @return false as long as no scope has one; not to be asked before a scope was opened
     */
    public static boolean autoIceWaitsAnywhere() {
        return Waiting.ANYWHERE.getLong(0) != 0;
    }

    /** Looked up when it is first asked for: the engine runs then. */
    private static final class Waiting {
        static final ByteBuffer ANYWHERE =
                Native.autoIceWaitingAnywhere().asReadOnlyBuffer().order(ByteOrder.nativeOrder());
    }

    /**
     * What has become of this scope's Auto ICE calls and was not taken before, in the order in which it was decided. A closed
     * scope has nothing.
     *
     * @return each result once
     */
    public List<AutoIceResult> takeAutoIce() {
        return AutoIceResult.list(Native.takeAutoIce(handle));
    }

    /**
     * Ends Auto ICE in this scope, as at the end of a thread: every call is hung up (all at once, bounded by two seconds), a
     * call that was neither up nor failed is decided as {@code CANCELLED}, and what is left to tell is taken. Calls after it
     * can be made again. {@link #close(long)} does the same, and gives the results as {@code autoIce}.
     *
     * @param deadlineMs after this time the rest is closed in the background
     * @return each result once
     */
    public List<AutoIceResult> endAutoIce(long deadlineMs) {
        return AutoIceResult.list(Native.endAutoIce(handle, deadlineMs));
    }

    /**
     * Auto ICE for messages that other samplers send and receive. The dialogs of a channel are this scope's own; a message
     * that names the id of a dialog of another channel or another thread of the same test reaches that one.
     *
     * @param channel    its name, at most 256 characters: what names the other side, such as {@code host:port}
     * @param configJson {@code {"mode":"on|report|off","overlay":false,"dialogField":null,"session":{…},"gatherWaitMs":500,
     *                   "answerWaitMs":2000}}, all optional; {@code session} is the configuration of the sessions
     * @return the channel, which the first call makes; a later one changes its configuration
     */
    public AutoIceChannel autoIce(String channel, String configJson) {
        return new AutoIceChannel(
                Native.autoIceChannel(handle, Json.utf8("channel", channel), Json.utf8("configuration", configJson)), this);
    }

    /**
     * A live offer under a name, for a plan that puts it into its message by itself. The session is found by
     * {@link #session} under the name; what becomes of the call is told by {@link #takeAutoIce()}, its time counting from
     * this call's return. A call that the scope has under the name is replaced.
     *
     * @param operation  cancels it; may be null
     * @param name       the call's name, at most 256 characters
     * @param configJson as of {@link #autoIce}
     * @param deadlineMs how long it may take; gathering is waited for at most {@code gatherWaitMs}
     * @return SDP with the candidates gathered by then
     * @throws EngineException  code {@code UDP_SOCKET} or {@code SDP}
     * @throws TimeoutException when the deadline passed
     */
    public String autoIceOffer(Operation operation, String name, String configJson, long deadlineMs)
            throws EngineException, TimeoutException {
        return Json.text(Native.autoIceOffer(handle, Operation.handle(operation), Json.utf8("name", name),
                Json.utf8("configuration", configJson), deadlineMs));
    }

    /**
     * A live answer under a name; otherwise as {@link #autoIceOffer}. Asked again with the same offer it gives the same
     * answer.
     *
     * @param operation  cancels it; may be null
     * @param name       the call's name, at most 256 characters
     * @param configJson as of {@link #autoIce}
     * @param offer      SDP of the other side; null: what {@link #autoIceApply} was given under the name
     * @param deadlineMs how long it may take
     * @return SDP with the candidates gathered by then
     * @throws EngineException          code {@code UDP_SOCKET} or {@code SDP}
     * @throws IllegalArgumentException when there is no offer
     * @throws TimeoutException         when the deadline passed
     */
    public String autoIceAnswer(Operation operation, String name, String configJson, String offer, long deadlineMs)
            throws EngineException, TimeoutException {
        return Json.text(Native.autoIceAnswer(handle, Operation.handle(operation), Json.utf8("name", name),
                Json.utf8("configuration", configJson), offer == null ? null : Json.utf8("offer", offer), deadlineMs));
    }

    /**
     * The next local candidate of a call: the k-th call gives the k-th candidate, and the last one again when there are no
     * more.
     *
     * @param operation  cancels it; may be null
     * @param name       the call's name
     * @param deadlineMs how long the first one may be waited for
     * @return W3C {@code RTCIceCandidateInit}; null when gathering found none
     * @throws EngineException          code {@code SESSION_CLOSED}
     * @throws IllegalArgumentException when there is no call of that name
     * @throws TimeoutException         when the deadline passed
     */
    public JsonNode autoIceCandidate(Operation operation, String name, long deadlineMs)
            throws EngineException, TimeoutException {
        byte[] candidate =
                Native.autoIceCandidate(handle, Operation.handle(operation), Json.utf8("name", name), deadlineMs);
        return candidate == null ? null : Json.parse(candidate);
    }

    /**
     * Applies what the other side said. Idempotent: the same text again changes nothing, so that a polling plan may give it
     * each time.
     *
     * @param operation  cancels it; may be null
     * @param name       the call's name
     * @param type       {@code offer} (kept for {@link #autoIceAnswer}), {@code answer}, {@code pranswer} or
     *                   {@code candidate}
     * @param text       SDP; of a candidate W3C {@code RTCIceCandidateInit}, a candidate line or a fragment (RFC 8840)
     * @param deadlineMs how long it may take
     * @throws EngineException          code {@code SDP}: it is not usable
     * @throws IllegalArgumentException for another type, and when there is no call of that name
     * @throws TimeoutException         when the deadline passed
     */
    public void autoIceApply(Operation operation, String name, String type, String text, long deadlineMs)
            throws EngineException, TimeoutException {
        Native.autoIceApply(handle, Operation.handle(operation), Json.utf8("name", name), Json.utf8("type", type),
                Json.utf8("text", text), deadlineMs);
    }

    /**
     * Closes what the scope owns, and the scopes under it. Idempotent: a second close finds nothing left.
     *
     * @param deadlineMs after this time what is left is dropped
     * @return {@code {"sockets":[{"name","cause"}],"sessions":[{"name","state","report"}],"autoIce":[…],"scopes":n}}, and
     *         {@code "softphones":[{"name","report"}]} where there were any;
     *         {@code autoIce} is what {@link AutoIceResult#list(JsonNode)} reads
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
