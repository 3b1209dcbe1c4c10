package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.websocket.filter.FilterForms;

/** Panel of {@link TextFrameFilter}. */
public class TextFrameFilterGui extends DropInConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public TextFrameFilterGui() {
        super("WebSocket Text Frame Filter",
                "Discards text frames that arrive while a sampler in its scope reads.",
                TextFrameFilter::new,
                FilterForms.text());
    }
}
