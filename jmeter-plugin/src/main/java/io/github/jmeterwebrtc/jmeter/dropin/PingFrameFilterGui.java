package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.websocket.filter.FilterForms;

/** Panel of {@link PingFrameFilter}. */
public class PingFrameFilterGui extends DropInConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public PingFrameFilterGui() {
        super("WebSocket Ping/Pong Frame Filter",
                "Discards pings and pongs that arrive while a sampler in its scope reads.",
                PingFrameFilter::new,
                FilterForms.ping());
    }
}
