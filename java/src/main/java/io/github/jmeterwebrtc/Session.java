package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.TimeoutException;

/**
 * One WebRTC session (W3C {@code RTCPeerConnection}) with one audio line. Media goes on in the background while Java does
 * something else.
 *
 * <p>The session belongs to its {@link Scope}; this object is a reference to it, and any number of them may exist. All
 * methods may be called from any thread.
 */
public final class Session implements AutoCloseable {
    private final long handle;
    /** Keeps the scope from being collected, and so from being closed, as long as something of it is in use. */
    private final Scope scope;

    Session(long handle, Scope scope) {
        this.handle = handle;
        this.scope = scope;
    }

    /**
     * Where it was looked up or opened.
     *
     * @return the scope, which may be a child of the one that owns it
     */
    public Scope scope() {
        return scope;
    }

    /**
     * Creates an offer and sets it as local description; without trickle it waits for gathering.
     *
     * @param operation  cancels it; may be null
     * @param deadlineMs how long it may take
     * @return SDP
     * @throws EngineException  code {@code SDP}, {@code SESSION_FAILED} or {@code SESSION_CLOSED}
     * @throws TimeoutException when the deadline passed
     */
    public String createOffer(Operation operation, long deadlineMs) throws EngineException, TimeoutException {
        return Json.text(Native.createOffer(handle, Operation.handle(operation), deadlineMs));
    }

    /**
     * Applies a remote offer, creates the answer and sets it as local description; without trickle it waits for
     * gathering.
     *
     * @param operation  cancels it; may be null
     * @param offer      SDP of the other side
     * @param deadlineMs how long it may take
     * @return SDP
     * @throws EngineException  code {@code SDP}, {@code SESSION_FAILED} or {@code SESSION_CLOSED}
     * @throws TimeoutException when the deadline passed
     */
    public String createAnswer(Operation operation, String offer, long deadlineMs)
            throws EngineException, TimeoutException {
        return Json.text(Native.createAnswer(handle, Operation.handle(operation), Json.utf8("offer", offer), deadlineMs));
    }

    /**
     * Applies the remote answer.
     *
     * @param operation  cancels it; may be null
     * @param sdp        SDP of the other side
     * @param deadlineMs how long it may take
     * @throws EngineException  code {@code SDP}, {@code SESSION_FAILED} or {@code SESSION_CLOSED}
     * @throws TimeoutException when the deadline passed
     */
    public void setRemoteAnswer(Operation operation, String sdp, long deadlineMs)
            throws EngineException, TimeoutException {
        Native.setRemoteAnswer(handle, Operation.handle(operation), Json.utf8("answer", sdp), deadlineMs);
    }

    /**
     * Applies a remote candidate; before the remote description it is kept and applied after it.
     *
     * @param candidateJson a W3C {@code RTCIceCandidateInit}; an empty {@code candidate} ends the candidates
     * @throws EngineException code {@code SDP} or {@code SESSION_CLOSED}
     */
    public void addIceCandidate(String candidateJson) throws EngineException {
        Native.addIceCandidate(handle, Json.utf8("candidate", candidateJson));
    }

    /**
     * The next local candidate to be carried to the other side.
     *
     * @param operation  cancels it; may be null
     * @param deadlineMs how long to wait
     * @return a W3C {@code RTCIceCandidateInit} as JSON; null when gathering has ended and all were taken
     * @throws EngineException  code {@code SESSION_CLOSED}
     * @throws TimeoutException when none came in time
     */
    public String nextLocalCandidate(Operation operation, long deadlineMs) throws EngineException, TimeoutException {
        byte[] candidate = Native.nextLocalCandidate(handle, Operation.handle(operation), deadlineMs);
        return candidate == null ? null : Json.text(candidate);
    }

    /**
     * Waits for the session to get somewhere.
     *
     * @param operation  cancels it; may be null
     * @param state      {@code connected} (ICE and DTLS) or {@code media} (first RTP packet in)
     * @param deadlineMs how long to wait
     * @return the connection state then (W3C {@code RTCPeerConnectionState})
     * @throws EngineException  code {@code SESSION_FAILED} or {@code SESSION_CLOSED}: it will never get there
     * @throws TimeoutException when the deadline passed; the session goes on
     */
    public String await(Operation operation, String state, long deadlineMs) throws EngineException, TimeoutException {
        return Json.text(Native.await(handle, Operation.handle(operation), Json.utf8("state", state), deadlineMs));
    }

    /**
     * The state now.
     *
     * @return a W3C {@code RTCPeerConnectionState}: {@code new}, {@code connecting}, {@code connected},
     *         {@code disconnected}, {@code failed} or {@code closed}
     */
    public String connectionState() {
        return Json.text(Native.connectionState(handle));
    }

    /**
     * Whether the session ended against our will: the other side hung up, or the connection failed.
     *
     * @return false also when it is closed; {@link #report()} says how it was lost, and costs more
     */
    public boolean isLost() {
        return Native.isSessionLost(handle);
    }

    /**
     * What is known of the session now, without asking anybody: {@code state}, {@code counters}, {@code phases} (µs since
     * its start), {@code timeline} ({@code [µs, machine, state]}), {@code selectedPair} ({@code [local, remote]} or null),
     * {@code lost} (null, or {@code code}, {@code message}, {@code atUs} of a call that ended against our will),
     * {@code signalingLost} (null, or a close cause), {@code outcome} (null for a session that no call of ours made).
     *
     * @return a JSON object
     */
    public JsonNode report() {
        return Json.parse(Native.sessionReport(handle));
    }

    /**
     * Media since the last check, or since the start.
     *
     * @param operation  cancels it; may be null
     * @param deadlineMs how long it may take
     * @return {@code {"intervalMs","packetsSent","packetsReceived","packetsLost","packetsSkipped","socketDrops",
     *         "bytesSent","bytesReceived","jitterMs","roundTripTimeMs" (null when unknown),"state","totals":{…}}}
     * @throws EngineException  code {@code SESSION_CLOSED}
     * @throws TimeoutException when the deadline passed
     */
    public JsonNode check(Operation operation, long deadlineMs) throws EngineException, TimeoutException {
        return Json.parse(Native.check(handle, Operation.handle(operation), deadlineMs));
    }

    /**
     * Statistics in the words of W3C webrtc-stats ({@code getStats}).
     *
     * @param operation  cancels it; may be null
     * @param deadlineMs how long it may take
     * @return W3C {@code RTCStats} objects
     * @throws EngineException  code {@code SESSION_CLOSED}
     * @throws TimeoutException when the deadline passed
     */
    public JsonNode stats(Operation operation, long deadlineMs) throws EngineException, TimeoutException {
        return Json.parse(Native.stats(handle, Operation.handle(operation), deadlineMs));
    }

    /**
     * Does something with the call of a {@link Softphone}, as its profile says. Returns when the command is given; what the
     * server makes of it is for its protocol to say. DTMF as telephone events (RFC 4733), which any session can send whose other
     * side takes them, is waited for.
     *
     * @param operation   cancels it; may be null
     * @param commandJson {@code {"command":"mute"}}, {@code unmute}, {@code hold}, {@code resume}, {@code restartIce},
     *                    {@code {"command":"dtmf","digits":"12#"}}, which may have {@code durationMs}, {@code gapMs} and
     *                    {@code by} ({@code auto}, {@code telephone-event}, {@code signaling}), or
     *                    {@code {"command":"transfer","to":"…"}}
     * @param deadlineMs  how long it may take
     * @return {@code {"command","elapsedUs","state","problems"}}, and {@code dtmf}: {@code by}, and for telephone events
     *         {@code payloadType}, {@code clockRate}, {@code tones}, {@code packets}; {@code problems} is what the softphone could
     *         not do since
     * @throws EngineException  code {@code UNSUPPORTED}: the profile does not say how; code {@code SESSION_CLOSED}: the call is
     *                          over
     * @throws TimeoutException when the deadline passed
     */
    public JsonNode control(Operation operation, String commandJson, long deadlineMs)
            throws EngineException, TimeoutException {
        return Json.parse(Native.controlSession(handle, Operation.handle(operation), Json.utf8("command", commandJson),
                deadlineMs));
    }

    /**
     * Ends the call: stops our audio, says good-bye, settles the accounts with the other side, closes the session and
     * forgets it. A session without a call is closed. The session is closed whatever happens.
     *
     * @param operation  cancels the settling, not the closing; may be null
     * @param deadlineMs for the other side's accounts
     * @return the call's report: {@code media}, {@code peerMedia} (null, then {@code peerMediaMissing} says why),
     *         {@code agrees}, {@code lostOutgoing}, {@code lostIncoming}, {@code durationUs}, {@code hangUpUs},
     *         {@code endedBy}, {@code lost}, {@code worstStates}, {@code phases}, {@code timeline}
     * @throws EngineException only for what is not the call's report
     */
    public JsonNode hangUp(Operation operation, long deadlineMs) throws EngineException {
        return Json.parse(Native.hangUp(handle, Operation.handle(operation), deadlineMs));
    }

    /** Hangs up, bounded by two seconds, and forgets the session. Idempotent. */
    @Override
    public void close() {
        Native.closeSession(handle);
    }
}
