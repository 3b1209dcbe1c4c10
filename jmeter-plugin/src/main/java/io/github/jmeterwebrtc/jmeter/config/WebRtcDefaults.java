package io.github.jmeterwebrtc.jmeter.config;

import org.apache.jmeter.config.ConfigTestElement;

/**
 * WebRTC Defaults: settings of all WebRTC elements in scope, merged into them before every sample.
 *
 * <p>An empty field leaves the field of an outer WebRTC Defaults, or else the engine's default. Every field may hold
 * functions and variables, which are evaluated for each thread. Property names start with {@value #PREFIX}, so that they
 * mean nothing to the samplers of other plugins.
 */
public class WebRtcDefaults extends ConfigTestElement {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /** What all property names start with. */
    public static final String PREFIX = "WebRTC.";
    /** W3C {@code RTCIceServer} objects, a JSON array (default none). */
    public static final String ICE_SERVERS = "WebRTC.iceServers";
    /** W3C {@code RTCIceTransportPolicy}: {@code all} (default) or {@code relay}. */
    public static final String ICE_TRANSPORT_POLICY = "WebRTC.iceTransportPolicy";
    /** Local IP address to bind (default: that of the route to the signaling server). */
    public static final String SOURCE_ADDRESS = "WebRTC.sourceAddress";
    /** {@code true} (default) = candidates are sent as they come (RFC 8838). */
    public static final String TRICKLE = "WebRTC.trickle";
    /** Codecs in order of preference, separated by commas (default {@code opus,pcmu}). */
    public static final String CODECS = "WebRTC.codecs";
    /** {@code true} (default) = audio is sent. */
    public static final String SEND_AUDIO = "WebRTC.sendAudio";
    /** Deadline of gathering, ms (default 5000). */
    public static final String GATHER_TIMEOUT = "WebRTC.gatherTimeout";
    /** Offer sent → answer, ms (default 10000). */
    public static final String ANSWER_TIMEOUT = "WebRTC.answerTimeout";
    /** Start → connected, ms (default 30000). */
    public static final String CONNECT_TIMEOUT = "WebRTC.connectTimeout";
    /** Connected → first RTP packet in, ms (default 5000). */
    public static final String FIRST_RTP_TIMEOUT = "WebRTC.firstRtpTimeout";
    /** Hang-up → the other side's accounts, ms (default 5000). */
    public static final String BYE_TIMEOUT = "WebRTC.byeTimeout";
    /** Pace of ICE connectivity checks, ms (RFC 8445 Ta; default 50). */
    public static final String ICE_CHECK_INTERVAL = "WebRTC.iceCheckInterval";
    /** Start gate: calls that are set up at once (default: JMeter property {@code webrtc.gate.inFlight}; 0 = any number). */
    public static final String GATE_IN_FLIGHT = "WebRTC.gateInFlight";
    /** Start gate: calls begun per second (default: {@code webrtc.gate.startsPerSecond}; 0 = any number). */
    public static final String GATE_STARTS_PER_SECOND = "WebRTC.gateStartsPerSecond";
    /** Start gate: honour {@code Retry-After} of refused upgrades (default: {@code webrtc.gate.retryAfter}, false). */
    public static final String GATE_RETRY_AFTER = "WebRTC.gateRetryAfter";
}
