package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link PingPongSampler}. */
public class PingPongSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public PingPongSamplerGui() {
        super("WebSocket Ping/Pong (jmeter-webrtc)",
                "Sends a ping and waits for its pong, or sends a pong that nobody asked for.",
                PingPongSampler::new,
                WebSocketForms.readTimeout(WebSocketForms.connectionName(new ElementForm().section("Connection")))
                        .section("Frames")
                        .choice(PingPongSampler.TYPE, "Type:", new String[] {"PingPong", "Pong"},
                                "PingPong: a ping and its pong. Pong: an unsolicited pong"));
    }
}
