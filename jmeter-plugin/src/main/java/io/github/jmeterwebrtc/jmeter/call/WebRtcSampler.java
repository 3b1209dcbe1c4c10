package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.config.WebRtcDefaults;
import io.github.jmeterwebrtc.jmeter.result.CallRecord;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.EngineSampler;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.run.WebRtcResults;
import java.util.Locale;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.threads.JMeterVariables;

/**
 * What the samplers of calls share: the call's name, the columns of a row, the codes of failures.
 *
 * <p>Loading such an element adds the {@link Columns} to the results of the plan.
 */
public abstract class WebRtcSampler extends EngineSampler {
    private static final long serialVersionUID = 1L;

    /** Name of the call within its thread (default empty, which is a name too). */
    public static final String CALL_NAME = "callName";

    /** Response code of a badly configured element. */
    static final String CONFIG = "CONFIG";
    /** Response code when the call was lost before the sample. */
    static final String CALL_LOST = "CALL_LOST";
    /** Response code when the thread has no call of that name. */
    static final String CALL_NOT_FOUND = "CALL_NOT_FOUND";

    static {
        WebRtcResults.prepare();
    }

    /** The call of this sampler; null when there is none, and then the result says so. */
    final PlacedCall call(ThreadScope thread, ResultBuilder result) {
        String name = getCallName();
        PlacedCall call = thread.calls().get(name);
        if (call == null) {
            call = thread.autoIceCall(name);
        }
        if (call == null) {
            result.failure(CALL_NOT_FOUND, "There is no call '" + name + "' in this thread; a WebRTC Call before this"
                    + " element makes one, or a session description that the plan sends with Auto ICE; a failed or hung-up"
                    + " call is none");
        }
        return call;
    }

    /** The call of this sampler while it is not lost; null when it is none, and then the result says so. */
    final PlacedCall talkingCall(ThreadScope thread, ResultBuilder result) {
        PlacedCall call = call(thread, result);
        if (call == null || !call.isLost()) {
            return call;
        }
        JsonNode report = call.session().report();
        writeSessionColumns(report);
        JsonNode lost = report.path("lost");
        String why = lost.path("message").asText("its state is " + report.path("state").asText());
        result.failure(CALL_LOST, new FailureReport("Call lost", lost.path("code").asText(CALL_LOST), why, lost, report));
        return null;
    }

    /** Writes state and selected pair of a session's report or a call's outcome. */
    final void writeSessionColumns(JsonNode session) {
        JMeterVariables variables = getThreadContext().getVariables();
        CallRecord.sessionColumns(session).forEach((name, value) -> Columns.put(variables, name, value));
    }

    /** Writes packet counters; {@code jitterMs} or {@code jitter} in seconds, whichever there is. */
    final void writeMediaColumns(JsonNode media) {
        JMeterVariables variables = getThreadContext().getVariables();
        putNumber(variables, Columns.PACKETS_SENT, media.path("packetsSent"));
        putNumber(variables, Columns.PACKETS_RECEIVED, media.path("packetsReceived"));
        putNumber(variables, Columns.PACKETS_LOST, media.path("packetsLost"));
        double jitterMs = media.has("jitterMs") ? media.path("jitterMs").asDouble() : media.path("jitter").asDouble() * 1000;
        Columns.put(variables, Columns.JITTER_MS, String.format(Locale.ROOT, "%.3f", jitterMs));
    }

    private static void putNumber(JMeterVariables variables, String column, JsonNode number) {
        if (number.isNumber()) {
            Columns.put(variables, column, number.asText());
        }
    }

    @Override
    protected final boolean ignoresCalls() {
        return false;
    }

    @Override
    protected String invalidCode() {
        return CONFIG;
    }

    @Override
    protected void failed(ResultBuilder result, EngineException failure) {
        JsonNode details = failure.details();
        result.failure(failure.code(),
                new FailureReport(failure.getMessage(), failure.code(), failure.getMessage(), details, details));
    }

    @Override
    protected void timedOut(ResultBuilder result, TimeoutException timeout) {
        result.failure("TIMEOUT", timeout.getMessage());
        result.evidence(timeout.getMessage(), "TIMEOUT", null);
    }

    /** Only {@link WebRtcDefaults} are merged in. */
    @Override
    public boolean applies(ConfigTestElement configElement) {
        return configElement instanceof WebRtcDefaults;
    }

    /** @return {@link #CALL_NAME}, trimmed */
    public String getCallName() {
        return getPropertyAsString(CALL_NAME).trim();
    }

    /** @param name {@link #CALL_NAME} */
    public void setCallName(String name) {
        setProperty(CALL_NAME, name);
    }
}
