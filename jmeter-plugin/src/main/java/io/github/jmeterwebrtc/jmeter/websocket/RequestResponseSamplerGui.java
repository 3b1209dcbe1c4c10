package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link RequestResponseSampler}. */
public class RequestResponseSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public RequestResponseSamplerGui() {
        super("WebSocket request-response Sampler (jmeter-webrtc)",
                "Sends one frame and reads one frame of the same type.",
                RequestResponseSampler::new,
                WebSocketForms.request(WebSocketForms.readTimeout(WebSocketForms.newOrExisting(new ElementForm(), true))));
    }
}
