package io.github.jmeterwebrtc.jmeter.preflight;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link PreflightSampler}. */
public class PreflightSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public PreflightSamplerGui() {
        super("WebRTC Preflight",
                "Will this machine hold the softphones, and do their servers answer? Examined once per JMeter: best in a setUp"
                        + " thread group. STUN and TURN servers are those of WebRTC Defaults.",
                PreflightSampler::new,
                new ElementForm()
                        .section("The test")
                        .text(PreflightSampler.SOFTPHONES, "Softphones:", "", "That this JMeter is to hold; empty = 200")
                        .text(PreflightSampler.RAMP, "Ramp-up (seconds):", "",
                                "Over which they start; empty = one second per 25 softphones")
                        .section("Servers")
                        .text(PreflightSampler.SIGNALING_URL, "Signaling URL:", "",
                                "ws:// or wss:// URL; empty = not asked")
                        .check(PreflightSampler.VERIFY_CERTIFICATE, "Verify TLS certificates", true,
                                "Off: every certificate is accepted")
                        .text(PreflightSampler.TIMEOUT, "Timeout of each step (ms):", "", "empty = 5000"));
    }
}
