package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link CallControlSampler}. */
public class CallControlSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public CallControlSamplerGui() {
        super("WebRTC Call Control",
                "Mutes, holds or transfers a call of a softphone, or sends digits, as its profile says.",
                CallControlSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty")
                        .choice(CallControlSampler.COMMAND, "Command:", CallControlSampler.COMMANDS.toArray(new String[0]),
                                "mute and unmute: our audio. hold and resume, dtmf, transfer: as the profile says")
                        .text(CallControlSampler.DIGITS, "Digits:", "", "dtmf: 0-9, A-D, * and #")
                        .text(CallControlSampler.TO, "Transfer to:", "", "transfer: to whom")
                        .text(CallControlSampler.TIMEOUT, "Timeout (ms):", "", "empty = 10000"));
    }
}
