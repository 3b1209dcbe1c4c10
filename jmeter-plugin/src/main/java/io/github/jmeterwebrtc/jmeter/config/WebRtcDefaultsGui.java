package io.github.jmeterwebrtc.jmeter.config;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;

/** Panel of {@link WebRtcDefaults}. */
public class WebRtcDefaultsGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public WebRtcDefaultsGui() {
        super("WebRTC Defaults",
                "Settings of all WebRTC elements in scope. An empty field leaves the default; every field is evaluated for each thread.",
                WebRtcDefaults::new,
                new ElementForm()
                        .section("ICE")
                        .area(WebRtcDefaults.ICE_SERVERS, "ICE servers (JSON):", "",
                                "Array of RTCIceServer objects: [{\"urls\":[\"stun:host:3478\"]},"
                                        + "{\"urls\":[\"turn:host\"],\"username\":\"u\",\"credential\":\"c\"}]")
                        .choice(WebRtcDefaults.ICE_TRANSPORT_POLICY, "ICE transport policy:",
                                new String[] {"", "all", "relay"}, "relay: only through TURN; empty = all")
                        .choice(WebRtcDefaults.TRICKLE, "Trickle:", new String[] {"", "true", "false"},
                                "Candidates are sent as they come (RFC 8838); empty = true")
                        .text(WebRtcDefaults.SOURCE_ADDRESS, "Source address:", "",
                                "Local IP address; empty = that of the route to the signaling server")
                        .text(WebRtcDefaults.ICE_CHECK_INTERVAL, "ICE check interval (ms):", "", "RFC 8445 Ta; empty = 50")
                        .section("Media")
                        .text(WebRtcDefaults.CODECS, "Codecs:", "", "In order of preference; empty = opus,pcmu")
                        .choice(WebRtcDefaults.SEND_AUDIO, "Send audio:", new String[] {"", "true", "false"}, "empty = true")
                        .section("Timeouts (ms)")
                        .text(WebRtcDefaults.GATHER_TIMEOUT, "Gathering:", "", "empty = 5000")
                        .text(WebRtcDefaults.ANSWER_TIMEOUT, "Answer:", "", "Offer sent until answer; empty = 10000")
                        .text(WebRtcDefaults.CONNECT_TIMEOUT, "Connect:", "", "Start until connected; empty = 30000")
                        .text(WebRtcDefaults.FIRST_RTP_TIMEOUT, "First RTP:", "",
                                "Connected until the first RTP packet; empty = 5000")
                        .text(WebRtcDefaults.BYE_TIMEOUT, "Hang-up:", "",
                                "Until the other side has stated its accounts; empty = 5000")
                        .section("Start gate (empty = the JMeter properties webrtc.gate.…, which are off)")
                        .text(WebRtcDefaults.GATE_IN_FLIGHT, "Handshakes at once:", "",
                                "Calls that are set up at the same time; 0 = any number. The wait is in webrtc_gateWaitMs")
                        .text(WebRtcDefaults.GATE_STARTS_PER_SECOND, "Starts per second:", "", "0 = any number")
                        .choice(WebRtcDefaults.GATE_RETRY_AFTER, "Honour Retry-After:", new String[] {"", "true", "false"},
                                "A WebSocket upgrade that was refused with Retry-After holds later ones back"));
    }
}
