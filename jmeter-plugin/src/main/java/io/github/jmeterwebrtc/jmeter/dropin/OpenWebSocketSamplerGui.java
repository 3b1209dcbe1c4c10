package io.github.jmeterwebrtc.jmeter.dropin;

/** Panel of {@link OpenWebSocketSampler}. */
public class OpenWebSocketSamplerGui extends DropInSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public OpenWebSocketSamplerGui() {
        super("WebSocket Open Connection",
                "Opens the connection of this thread; one that is open is dropped first.",
                OpenWebSocketSampler::new,
                DropInForms.readTimeout(DropInForms.server(DropInForms.connection())));
    }
}
