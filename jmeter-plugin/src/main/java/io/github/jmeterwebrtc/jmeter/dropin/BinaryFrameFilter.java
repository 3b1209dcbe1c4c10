package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.websocket.filter.Comparison;

/** WebSocket Binary Frame Filter of existing plans. */
public class BinaryFrameFilter extends io.github.jmeterwebrtc.jmeter.websocket.filter.BinaryFrameFilter {
    private static final long serialVersionUID = 1L;

    @Override
    public Comparison getComparisonType() {
        return OldEnum.valueOf("eu.luminis.jmeter.wssampler.ComparisonType", super::getComparisonType,
                getPropertyAsString(COMPARISON_TYPE));
    }
}
