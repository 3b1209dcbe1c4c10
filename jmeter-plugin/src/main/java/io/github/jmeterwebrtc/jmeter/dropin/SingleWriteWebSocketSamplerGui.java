package io.github.jmeterwebrtc.jmeter.dropin;

/** Panel of {@link SingleWriteWebSocketSampler}. */
public class SingleWriteWebSocketSamplerGui extends DropInSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public SingleWriteWebSocketSamplerGui() {
        super("WebSocket Single Write Sampler",
                "Sends one frame.",
                SingleWriteWebSocketSampler::new,
                DropInForms.data(DropInForms.newOrExisting(false)));
    }
}
