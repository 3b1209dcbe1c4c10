package io.github.jmeterwebrtc.jmeter.dropin;

/** WebSocket Binary Frame Filter of existing plans. */
public class BinaryFrameFilter extends io.github.jmeterwebrtc.jmeter.websocket.filter.BinaryFrameFilter {
    private static final long serialVersionUID = 1L;
}
