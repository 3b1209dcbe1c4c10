package io.github.jmeterwebrtc.jmeter.autoice;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormPostProcessorGui;

/** Panel of {@link ApplyRemoteSdp}. */
public class ApplyRemoteSdpGui extends FormPostProcessorGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public ApplyRemoteSdpGui() {
        super("WebRTC Apply Remote SDP",
                "Gives a call of ${__webrtcOffer()} or ${__webrtcAnswer()} what the other side said. The same text again changes nothing.",
                ApplyRemoteSdp::new,
                new ElementForm()
                        .section("What the other side said")
                        .text(ApplyRemoteSdp.CALL_NAME, "Call name:", "", "As given to the function; may be empty")
                        .choice(ApplyRemoteSdp.TYPE, "Type:", new String[] {"", "answer", "offer", "pranswer", "candidate"},
                                "empty = as the text itself says")
                        .area(ApplyRemoteSdp.TEXT, "Text:", "",
                                "SDP, or a candidate; usually a variable of an extractor; empty = the response of the sample before")
                        .text(ApplyRemoteSdp.TIMEOUT, "Timeout (ms):", "", "empty = 5000"));
    }
}
