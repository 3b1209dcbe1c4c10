package io.github.jmeterwebrtc.jmeter.dropin;

/** WebSocket Ping/Pong Frame Filter of existing plans. */
public class PingFrameFilter extends io.github.jmeterwebrtc.jmeter.websocket.filter.PingFrameFilter {
    private static final long serialVersionUID = 1L;

    @Override
    public FilterType getFilterType() {
        return OldEnum.valueOf("eu.luminis.jmeter.wssampler.PingFrameFilter.PingFilterType", super::getFilterType,
                getPropertyAsString(FILTER_TYPE));
    }
}
