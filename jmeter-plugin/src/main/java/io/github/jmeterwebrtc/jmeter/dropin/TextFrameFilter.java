package io.github.jmeterwebrtc.jmeter.dropin;

/** WebSocket Text Frame Filter of existing plans. */
public class TextFrameFilter extends io.github.jmeterwebrtc.jmeter.websocket.filter.TextFrameFilter {
    private static final long serialVersionUID = 1L;
}
