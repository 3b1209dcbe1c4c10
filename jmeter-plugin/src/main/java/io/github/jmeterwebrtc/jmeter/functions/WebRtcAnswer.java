package io.github.jmeterwebrtc.jmeter.functions;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIceSettings;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.concurrent.TimeoutException;

/**
 * {@code ${__webrtcAnswer(callName,offerVariable,form,variable)}}: a live answer to an offer, which begins a call of that name.
 *
 * <p>The offer is in the variable of that name, or it was given by WebRTC Apply Remote SDP.
 */
public class WebRtcAnswer extends CallFunction {
    private static final String MADE = "answer.";
    private static final int FORM = 2;

    /** The function. */
    public WebRtcAnswer() {
        super("__webrtcAnswer", "Name of the variable with the offer (empty = what WebRTC Apply Remote SDP was given)",
                TextForm.PARAMETER);
    }

    @Override
    String evaluate(Evaluation evaluation) throws InvalidElementException, EngineException, TimeoutException {
        String answer = evaluation.made(MADE, String.class);
        if (answer == null) {
            String variable = evaluation.parameter(1);
            String offer = variable.isEmpty() ? null : evaluation.context.getVariables().get(variable);
            if (!variable.isEmpty() && (offer == null || offer.isEmpty())) {
                throw new InvalidElementException("offerVariable: there is no text in the variable '" + variable + "'");
            }
            AutoIceSettings settings = AutoIceSettings.ofFunctions(evaluation.context);
            answer = evaluation.thread.scope().autoIceAnswer(evaluation.bounded.operation(), evaluation.call,
                    settings.config().toString(), offer, evaluation.bounded.clip(settings.deadlineMs()));
            evaluation.remember(MADE, answer);
        }
        return TextForm.of(evaluation.parameter(FORM), answer);
    }
}
