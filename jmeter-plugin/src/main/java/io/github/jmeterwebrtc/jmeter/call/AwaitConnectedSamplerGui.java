package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link AwaitConnectedSampler}. */
public class AwaitConnectedSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public AwaitConnectedSamplerGui() {
        super("WebRTC Await Connected",
                "Waits until a call is connected, or until its first audio packet is in.",
                AwaitConnectedSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty")
                        .choice(AwaitConnectedSampler.STATE, "State:", new String[] {"connected", "media"},
                                "connected: ICE and DTLS done. media: first RTP packet in")
                        .text(AwaitConnectedSampler.TIMEOUT, "Timeout (ms):", "30000", "How long to wait"));
    }
}
