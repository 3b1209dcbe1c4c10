package io.github.jmeterwebrtc.jmeter.softphone;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link RegisterSampler}. */
public class RegisterSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public RegisterSamplerGui() {
        super("WebRTC Softphone Register",
                "A softphone logs in as the profile of its protocol says, and stays registered in the background.",
                RegisterSampler::new,
                new ElementForm()
                        .section("Softphone")
                        .text(RegisterSampler.SOFTPHONE, "Softphone:", "", "Name of the softphone within its thread; may be empty")
                        .text(RegisterSampler.TIMEOUT, "Timeout (ms):", "", "How long registering may take; empty = 30000")
                        .section("Protocol")
                        .choice(RegisterSampler.PROFILE, "Profile:", RegisterSampler.SHIPPED.toArray(new String[0]),
                                "A name, also of a file in the folder of the JMeter property webrtc.profiles.dir; or a file")
                        .area(RegisterSampler.PARAMETERS, "Parameters:", "",
                                "Lines name=value, as the profile says, such as token=${token}")
                        .check(RegisterSampler.VERIFY_CERTIFICATE, "Verify TLS certificates", true,
                                "Off: every certificate is accepted"));
    }
}
