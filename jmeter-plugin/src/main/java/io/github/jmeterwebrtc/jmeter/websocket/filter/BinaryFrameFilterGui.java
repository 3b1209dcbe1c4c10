package io.github.jmeterwebrtc.jmeter.websocket.filter;

import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;

/** Panel of {@link BinaryFrameFilter}. */
public class BinaryFrameFilterGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public BinaryFrameFilterGui() {
        super("WebSocket Binary Frame Filter (jmeter-webrtc)",
                "Discards binary frames that arrive while a sampler in its scope reads.",
                BinaryFrameFilter::new,
                FilterForms.binary());
    }
}
