package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link HangUpSampler}. */
public class HangUpSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public HangUpSamplerGui() {
        super("WebRTC Hang Up",
                "Ends a call and settles the packet accounts with the other side.",
                HangUpSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty"));
    }
}
