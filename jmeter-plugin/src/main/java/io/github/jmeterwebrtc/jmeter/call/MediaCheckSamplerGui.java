package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link MediaCheckSampler}. */
public class MediaCheckSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public MediaCheckSamplerGui() {
        super("WebRTC Media Check",
                "What came and went since the last check. It does not wait: a timer before it holds the call.",
                MediaCheckSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty")
                        .section("Limits (empty = none)")
                        .text(MediaCheckSampler.MIN_PACKETS_RECEIVED, "Packets received, at least:", "1",
                                "RTP packets since the last check; 0 = silence is accepted")
                        .text(MediaCheckSampler.MAX_LOSS_PERCENT, "Lost packets, at most (%):", "",
                                "Percent of the packets expected since the last check")
                        .text(MediaCheckSampler.MAX_JITTER_MS, "Jitter, at most (ms):", "",
                                "Interarrival jitter (RFC 3550 6.4.1)")
                        .text(MediaCheckSampler.MAX_ROUND_TRIP_TIME_MS, "Round trip time, at most (ms):", "",
                                "From RTCP; unknown is accepted"));
    }
}
