package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;

/** Panel of {@link PingFrameFilter}. */
public class PingFrameFilterGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public PingFrameFilterGui() {
        super("WebSocket Ping/Pong Frame Filter (jmeter-webrtc)",
                "Discards pings and pongs that arrive while a sampler in its scope reads.",
                PingFrameFilter::new,
                FilterForms.ping());
    }
}
