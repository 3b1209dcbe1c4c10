package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link CloseSampler}. */
public class CloseSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public CloseSamplerGui() {
        super("WebSocket Close (jmeter-webrtc)",
                "Closes the connection with the closing handshake.",
                CloseSampler::new,
                WebSocketForms.readTimeout(WebSocketForms.connectionName(new ElementForm().section("Connection")))
                        .section("Close frame")
                        .text(CloseSampler.STATUS_CODE, "Status code:", "1000", "1000 to 4999 (RFC 6455 7.4)"));
    }
}
