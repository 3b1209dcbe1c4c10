package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link AnswerCallSampler}. */
public class AnswerCallSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public AnswerCallSamplerGui() {
        super("WebRTC Answer Call",
                "Takes the next call of a softphone. The sample begins when the call came in; use timers to hold the call.",
                AnswerCallSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty")
                        .text(AnswerCallSampler.SOFTPHONE, "Softphone:", "",
                                "Name of a softphone that is registered in this thread; may be empty")
                        .text(AnswerCallSampler.INCOMING_TIMEOUT, "Incoming timeout (ms):", "",
                                "How long to wait for a call; empty = 60000")
                        .text(AnswerCallSampler.RING, "Ring for (ms):", "",
                                "How long it rings before it is answered; empty = 0. Calls that are answered automatically do not ring")
                        .choice(AnswerCallSampler.WAIT_FOR, "Sample ends at:", new String[] {"media", "connected"},
                                "media: first RTP packet in. connected: ICE and DTLS done"));
    }
}
