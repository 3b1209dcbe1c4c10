package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;

/** Panel of {@link TextFrameFilter}. */
public class TextFrameFilterGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public TextFrameFilterGui() {
        super("WebSocket Text Frame Filter (jmeter-webrtc)",
                "Discards text frames that arrive while a sampler in its scope reads.",
                TextFrameFilter::new,
                FilterForms.text());
    }
}
