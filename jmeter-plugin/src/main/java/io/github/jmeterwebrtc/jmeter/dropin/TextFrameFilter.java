package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.websocket.filter.Comparison;

/** WebSocket Text Frame Filter of existing plans. */
public class TextFrameFilter extends io.github.jmeterwebrtc.jmeter.websocket.filter.TextFrameFilter {
    private static final long serialVersionUID = 1L;

    @Override
    public Comparison getComparisonType() {
        return OldEnum.valueOf("eu.luminis.jmeter.wssampler.ComparisonType", super::getComparisonType,
                getPropertyAsString(COMPARISON_TYPE));
    }
}
