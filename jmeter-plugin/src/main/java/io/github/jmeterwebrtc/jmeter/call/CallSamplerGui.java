package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link CallSampler}. */
public class CallSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public CallSamplerGui() {
        super("WebRTC Call",
                "One call from the offer to the first audio packet, as one sample. Media go on in the background: use timers to hold the call.",
                CallSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty")
                        .text(CallSampler.TO, "To:", "", "Whom to call; empty = the server decides")
                        .choice(CallSampler.WAIT_FOR, "Sample ends at:", new String[] {"media", "connected"},
                                "media: first RTP packet in. connected: ICE and DTLS done")
                        .check(CallSampler.NEW_CALL, "New call: hang up a call of that name that is still connected", false,
                                "Otherwise the existing call is used again")
                        .section("Signaling")
                        .text(CallSampler.SOFTPHONE, "Softphone:", "",
                                "Name of a softphone that is registered in this thread; may be empty. It carries the call unless"
                                        + " a field below says otherwise")
                        .text(CallSampler.CONNECTION_ID, "Connection id:", "",
                                "Name of the WebSocket that a WebSocket Open Connection made; may be empty")
                        .text(CallSampler.SIGNALING_URL, "Signaling URL:", "",
                                "ws:// or wss:// URL to open when there is no such WebSocket; empty = the sample fails")
                        .section("Incoming calls")
                        .choice(CallSampler.MODE, "Mode:", new String[] {"offer", "answer"},
                                "offer: place a call. answer: take the next incoming one")
                        .text(CallSampler.REGISTER_AS, "Register as:", "",
                                "answer: the name to be reachable under; empty = do not register")
                        .text(CallSampler.INCOMING_TIMEOUT, "Incoming timeout (ms):", "",
                                "answer: how long to wait for a call; empty = 60000"));
    }

    @Override
    protected String defaultName() {
        return CallSampler.DEFAULT_NAME;
    }
}
