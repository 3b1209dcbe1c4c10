package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link SingleReadSampler}. */
public class SingleReadSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public SingleReadSamplerGui() {
        super("WebSocket Single Read Sampler (jmeter-webrtc)",
                "Reads one frame, which may have arrived long before.",
                SingleReadSampler::new,
                WebSocketForms.readTimeout(WebSocketForms.newOrExisting(new ElementForm(), false))
                        .section("Response")
                        .choice(SingleReadSampler.DATA_TYPE, "Data type:", new String[] {"Text", "Binary", "Any"},
                                "What kind of frame is expected; another kind is a failure",
                                WebSocketForms::typeOfOldPlans)
                        .check(SingleReadSampler.OPTIONAL, "Optional: nothing to read is a success", false,
                                "A read timeout is then a successful sample with response code No response"));
    }
}
