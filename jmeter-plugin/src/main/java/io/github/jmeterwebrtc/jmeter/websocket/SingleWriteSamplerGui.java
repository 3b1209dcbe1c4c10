package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link SingleWriteSampler}. */
public class SingleWriteSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public SingleWriteSamplerGui() {
        super("WebSocket Single Write Sampler (jmeter-webrtc)",
                "Sends one frame.",
                SingleWriteSampler::new,
                WebSocketForms.request(WebSocketForms.newOrExisting(new ElementForm(), false)));
    }
}
