package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link CallControlSampler}. */
public class CallControlSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public CallControlSamplerGui() {
        super("WebRTC Call Control",
                "Mutes, holds or transfers a call of a softphone, sends digits, or restarts ICE, as its profile says.",
                CallControlSampler::new,
                new ElementForm()
                        .section("Call")
                        .text(WebRtcSampler.CALL_NAME, "Call name:", "", "Name of the call within its thread; may be empty")
                        .choice(CallControlSampler.COMMAND, "Command:", CallControlSampler.COMMANDS.toArray(new String[0]),
                                "mute and unmute: our audio. hold and resume, dtmf, transfer, restartIce: as the profile says")
                        .text(CallControlSampler.DIGITS, "Digits:", "", "dtmf: 0-9, A-D, *, # and , (pauses for 2 s)")
                        .choice(CallControlSampler.DTMF_BY, "Digits go by:", CallControlSampler.WAYS.toArray(new String[0]),
                                "auto: as the profile's client does, else as telephone events where the other side takes them")
                        .text(CallControlSampler.TONE_DURATION, "Tone (ms):", "", "dtmf: 40 to 6000; empty = 100")
                        .text(CallControlSampler.TONE_GAP, "Gap (ms):", "", "dtmf: silence between tones, 30 to 6000; empty = 70")
                        .text(CallControlSampler.TO, "Transfer to:", "", "transfer: to whom")
                        .text(CallControlSampler.TIMEOUT, "Timeout (ms):", "", "empty = 10000"));
    }
}
