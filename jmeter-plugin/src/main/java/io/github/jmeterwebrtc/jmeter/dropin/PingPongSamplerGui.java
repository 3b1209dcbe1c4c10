package io.github.jmeterwebrtc.jmeter.dropin;

/** Panel of {@link PingPongSampler}. */
public class PingPongSamplerGui extends DropInSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public PingPongSamplerGui() {
        super("WebSocket Ping/Pong",
                "Sends an empty ping and reads its pong, or sends an empty pong.",
                PingPongSampler::new,
                DropInForms.readTimeout(DropInForms.connection())
                        .section("Frame")
                        .choice(PingPongSampler.TYPE, "Type:", new String[] {"PingPong", "Pong"},
                                "Pong: nobody asked for it, and nothing is read"));
    }
}
