package io.github.jmeterwebrtc.jmeter.dropin;

/** Panel of {@link CloseWebSocketSampler}. */
public class CloseWebSocketSamplerGui extends DropInSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public CloseWebSocketSamplerGui() {
        super("WebSocket Close",
                "Closes the connection of this thread with a close frame, and reads that of the server.",
                CloseWebSocketSampler::new,
                DropInForms.readTimeout(DropInForms.connection())
                        .section("Close frame")
                        .text(CloseWebSocketSampler.STATUS_CODE, "Close status:", "1000", "1000 to 4999 (RFC 6455 7.4)"));
    }
}
