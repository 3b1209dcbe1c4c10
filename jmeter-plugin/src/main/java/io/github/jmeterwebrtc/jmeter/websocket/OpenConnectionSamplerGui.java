package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link OpenConnectionSampler}. */
public class OpenConnectionSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public OpenConnectionSamplerGui() {
        super("WebSocket Open Connection (jmeter-webrtc)",
                "Opens a WebSocket that stays open across iterations; pings are answered while no sampler runs.",
                OpenConnectionSampler::new,
                WebSocketForms.keepAlive(WebSocketForms.server(WebSocketForms.connectionName(
                        new ElementForm().section("Connection"))
                        .choice(OpenConnectionSampler.SCOPE, "Owned by:",
                                new String[] {OpenConnectionSampler.SCOPE_THREAD, OpenConnectionSampler.SCOPE_TEST},
                                "thread: closed when the thread ends. test: shared by all threads"))));
    }
}
