package io.github.jmeterwebrtc.jmeter.functions;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIceSettings;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.concurrent.TimeoutException;

/**
 * {@code ${__webrtcOffer(callName,form,variable)}}: a live offer, which begins a call of that name.
 *
 * <p>The answer goes to it by WebRTC Apply Remote SDP. A call that the thread has under the name is replaced.
 */
public class WebRtcOffer extends CallFunction {
    private static final String MADE = "offer.";

    /** The function. */
    public WebRtcOffer() {
        super("__webrtcOffer", TextForm.PARAMETER);
    }

    @Override
    String evaluate(Evaluation evaluation) throws InvalidElementException, EngineException, TimeoutException {
        String offer = evaluation.made(MADE, String.class);
        if (offer == null) {
            AutoIceSettings settings = AutoIceSettings.ofFunctions(evaluation.context);
            offer = evaluation.thread.scope().autoIceOffer(evaluation.bounded.operation(), evaluation.call,
                    settings.config().toString(), evaluation.bounded.clip(settings.deadlineMs()));
            evaluation.remember(MADE, offer);
        }
        return TextForm.of(evaluation.parameter(1), offer);
    }
}
