package io.github.jmeterwebrtc.jmeter.softphone;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link UnregisterSampler}. */
public class UnregisterSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public UnregisterSamplerGui() {
        super("WebRTC Softphone Unregister",
                "A softphone says farewell and closes its connection. Calls that are up go on until they are hung up.",
                UnregisterSampler::new,
                new ElementForm()
                        .section("Softphone")
                        .text(UnregisterSampler.SOFTPHONE, "Softphone:", "",
                                "Name of the softphone within its thread; may be empty"));
    }
}
