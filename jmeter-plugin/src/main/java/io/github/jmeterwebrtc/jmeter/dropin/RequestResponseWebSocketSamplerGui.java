package io.github.jmeterwebrtc.jmeter.dropin;

/** Panel of {@link RequestResponseWebSocketSampler}. */
public class RequestResponseWebSocketSamplerGui extends DropInSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public RequestResponseWebSocketSamplerGui() {
        super("WebSocket request-response Sampler",
                "Sends one frame and reads one of the same type.",
                RequestResponseWebSocketSampler::new,
                DropInForms.readTimeout(DropInForms.data(DropInForms.newOrExisting(true))));
    }
}
