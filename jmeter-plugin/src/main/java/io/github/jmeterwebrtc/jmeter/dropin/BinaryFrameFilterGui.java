package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.websocket.filter.FilterForms;

/** Panel of {@link BinaryFrameFilter}. */
public class BinaryFrameFilterGui extends DropInConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public BinaryFrameFilterGui() {
        super("WebSocket Binary Frame Filter",
                "Discards binary frames that arrive while a sampler in its scope reads.",
                BinaryFrameFilter::new,
                FilterForms.binary());
    }
}
