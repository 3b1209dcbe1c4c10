package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.CallOutcome;
import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.autoice.CallName;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.result.CallRecord;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.RegisteredSoftphone;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.SignalingConnection;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.threads.JMeterVariables;

/**
 * WebRTC Call: one call, from the offer to the first audio packet, as one sample.
 *
 * <p>Elapsed time = start → first RTP packet in, Connect Time = start → ICE connected, Latency = start → DTLS done; all taken
 * in the engine. Media go on in the background until WebRTC Hang Up, the end of the thread or of the test, so that JMeter's
 * timers hold the call. In the next iteration a call that is still connected is used again, in no time.
 */
public class CallSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    /** Label of a new element. */
    public static final String DEFAULT_NAME = "WebRTC connect";

    // Property names appear in plan files: never change them.
    /** Name of the WebSocket that carries the signaling (default empty, which is a name too). */
    public static final String CONNECTION_ID = "connectionId";
    /**
     * Name of the softphone that places the call (default empty, which is a name too). It counts when such a softphone is
     * registered in the thread and none of {@link #CONNECTION_ID}, {@link #SIGNALING_URL} and {@link #REGISTER_AS} is filled in.
     */
    public static final String SOFTPHONE = "softphone";
    /** {@code ws} or {@code wss} URL to open when there is no such WebSocket (default empty = fail). */
    public static final String SIGNALING_URL = "signalingUrl";
    /** Whom to call (default empty: the server decides). */
    public static final String TO = "to";
    /** {@code offer} (default) places a call, {@code answer} takes the next incoming one. */
    public static final String MODE = "mode";
    /** With {@code answer}: the name to be reachable under (default empty = do not register). */
    public static final String REGISTER_AS = "registerAs";
    /** With {@code answer}: how long to wait for a call, ms (default 60000). */
    public static final String INCOMING_TIMEOUT = "incomingTimeout";
    /** The sample ends at {@code media} (default, first RTP packet in) or {@code connected} (ICE and DTLS). */
    public static final String WAIT_FOR = "waitFor";
    /** {@code true} = hang up a call of that name that is still connected and place a new one (boolProp, default false). */
    public static final String NEW_CALL = "newCall";

    /** JMeter variable: whether the sample found its call connected. */
    static final String REUSED = "webrtc_reused";

    private static final String OFFER = "offer";
    private static final String ANSWER = "answer";
    private static final String MEDIA = "media";
    private static final String CONNECTED = "connected";
    private static final long INCOMING_MS = 60_000;
    private static final long REGISTER_MS = 10_000;
    private static final long MAX_TIMEOUT_MS = 3_600_000;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        Plan plan = new Plan(this);
        result.request("WebRTC call '" + plan.callName + "' to '" + plan.to + "'\n");
        PlacedCall existing = thread.calls().get(plan.callName);
        if (existing != null && !plan.newCall && existing.isConnected()) {
            reuse(existing, result);
            return;
        }
        putReused(false);
        if (existing != null) {
            thread.calls().remove(plan.callName);
            thread.reportIfLost(existing, existing.session().hangUp(bounded.operation(), bounded.clip(plan.byeTimeoutMs)));
        }
        if (plan.isForSoftphone()) {
            RegisteredSoftphone softphone = thread.softphones().get(plan.softphone);
            if (softphone != null) {
                finish(thread, plan, throughSoftphone(softphone, bounded, plan), result);
                return;
            }
            if (!plan.softphone.isEmpty()) {
                result.failure(Codes.CONFIG, RegisteredSoftphone.missing(plan.softphone));
                return;
            }
        }
        Connection signaling = SignalingConnection.findOrOpen(thread, bounded, result, plan.connectionId, plan.signalingUrl,
                plan.settings.config().get("gate"));
        if (signaling == null) {
            noSignaling(thread, plan, result);
            return;
        }
        CallOutcome outcome = plan.answers
                ? answer(thread, bounded, signaling, plan)
                : thread.scope().placeCall(bounded.operation(), plan.engineName(), signaling.socket(),
                        plan.settings.config().toString(), bounded.clip(plan.settings.overallTimeoutMs()));
        finish(thread, plan, outcome, result);
    }

    private void finish(ThreadScope thread, Plan plan, CallOutcome outcome, ResultBuilder result) {
        record(outcome, result);
        if (outcome.success()) {
            thread.calls().put(plan.callName, new PlacedCall(plan.callName, outcome));
        }
    }

    private static CallOutcome throughSoftphone(RegisteredSoftphone softphone, BoundedWait bounded, Plan plan)
            throws EngineException, TimeoutException {
        ObjectNode config = plan.settings.softphoneCall();
        if (!plan.answers) {
            return softphone.softphone().call(bounded.operation(), plan.engineName(), config.toString(),
                    bounded.clip(plan.settings.softphoneTimeoutMs()));
        }
        config.put("incomingTimeoutMs", plan.incomingTimeoutMs);
        return softphone.softphone().answer(bounded.operation(), plan.engineName(), config.toString(),
                bounded.clip(plan.incomingTimeoutMs + plan.settings.softphoneTimeoutMs()));
    }

    private CallOutcome answer(ThreadScope thread, BoundedWait bounded, Connection signaling, Plan plan)
            throws EngineException, TimeoutException {
        if (!plan.registerAs.isEmpty() && !plan.registerAs.equals(signaling.registeredAs())) {
            signaling.socket().register(bounded.operation(), plan.registerAs, bounded.clip(REGISTER_MS));
            signaling.setRegisteredAs(plan.registerAs);
        }
        return thread.scope().answerCall(bounded.operation(), plan.engineName(), signaling.socket(),
                plan.settings.config().toString(), bounded.clip(plan.incomingTimeoutMs + plan.settings.overallTimeoutMs()));
    }

    private void reuse(PlacedCall call, ResultBuilder result) {
        putReused(true);
        result.took(0);
        result.success("200", "existing call");
        writeSessionColumns(call.session().report());
    }

    private static void noSignaling(ThreadScope thread, Plan plan, ResultBuilder result) {
        CloseCause why = SignalingConnection.whyClosed(thread, plan.connectionId);
        if (why == null) {
            result.failure(Codes.CONFIG, "connectionId: there is no WebSocket '" + plan.connectionId + "' for the signaling: put a"
                    + " WebSocket Open Connection before the call, or fill in signalingUrl");
        } else {
            String sentence = "The WebSocket '" + plan.connectionId + "' for the signaling is closed: " + why.describe();
            result.starved(why.json().path("starved").asBoolean());
            result.failure(why.resultCode(), new FailureReport("Signaling WebSocket Closed", why.resultCode(), sentence,
                    why.json(), why.json()));
        }
    }

    private void record(CallOutcome outcome, ResultBuilder result) {
        CallRecord.write(outcome, result);
        writeSessionColumns(outcome.json());
    }

    private void putReused(boolean reused) {
        JMeterVariables variables = getThreadContext().getVariables();
        if (variables != null) {
            variables.put(REUSED, Boolean.toString(reused));
        }
    }

    /** The properties of one sample, each read once and checked. */
    private static final class Plan {
        private final String callName;
        private final String connectionId;
        private final String signalingUrl;
        private final String softphone;
        private final String to;
        private final boolean answers;
        private final String registerAs;
        private final long incomingTimeoutMs;
        private final boolean newCall;
        private final long byeTimeoutMs;
        private final CallSettings settings;

        Plan(CallSampler sampler) throws InvalidElementException {
            callName = sampler.getCallName();
            connectionId = sampler.getConnectionId();
            signalingUrl = sampler.getSignalingUrl();
            softphone = sampler.getSoftphone();
            to = sampler.getTo();
            answers = ANSWER.equals(choice("mode", sampler.getMode(), OFFER, ANSWER));
            registerAs = sampler.getRegisterAs();
            incomingTimeoutMs = Setting.number(
                    INCOMING_TIMEOUT, sampler.getIncomingTimeout(), 1, MAX_TIMEOUT_MS, INCOMING_MS);
            newCall = sampler.getNewCall();
            settings = CallSettings.of(sampler);
            byeTimeoutMs = settings.byeTimeoutMs();
            if (!softphone.isEmpty() && !isForSoftphone()) {
                throw new InvalidElementException("softphone: '" + softphone + "' cannot be had together with connectionId,"
                        + " signalingUrl or registerAs");
            }
            boolean media = MEDIA.equals(choice(WAIT_FOR, sampler.getWaitFor(), MEDIA, CONNECTED));
            ObjectNode config = settings.config();
            config.put("awaitMedia", media);
            if (!answers && !to.isEmpty()) {
                config.put("to", to);
            }
        }

        /** Whether a softphone may carry the call: nothing else was named for that. */
        boolean isForSoftphone() {
            return connectionId.isEmpty() && signalingUrl.isEmpty() && registerAs.isEmpty();
        }

        String engineName() {
            return CallName.ofEngine(callName);
        }

    }

    /** One of two words; the first is that of an empty field. */
    static String choice(String field, String value, String usual, String other) throws InvalidElementException {
        if (value.isEmpty()) {
            return usual;
        }
        if (!value.equals(usual) && !value.equals(other)) {
            throw new InvalidElementException(field + ": '" + value + "' is not " + usual + " or " + other);
        }
        return value;
    }

    /** @return {@link #CONNECTION_ID}, trimmed */
    public String getConnectionId() {
        return getPropertyAsString(CONNECTION_ID).trim();
    }

    /** @param id {@link #CONNECTION_ID} */
    public void setConnectionId(String id) {
        setProperty(CONNECTION_ID, id);
    }

    /** @return {@link #SIGNALING_URL}, trimmed */
    public String getSignalingUrl() {
        return getPropertyAsString(SIGNALING_URL).trim();
    }

    /** @param url {@link #SIGNALING_URL} */
    public void setSignalingUrl(String url) {
        setProperty(SIGNALING_URL, url);
    }

    /** @return {@link #SOFTPHONE}, trimmed */
    public String getSoftphone() {
        return getPropertyAsString(SOFTPHONE).trim();
    }

    /** @param name {@link #SOFTPHONE} */
    public void setSoftphone(String name) {
        setProperty(SOFTPHONE, name);
    }

    /** @return {@link #TO}, trimmed */
    public String getTo() {
        return getPropertyAsString(TO).trim();
    }

    /** @param to {@link #TO} */
    public void setTo(String to) {
        setProperty(TO, to);
    }

    /** @return {@link #MODE}, trimmed */
    public String getMode() {
        return getPropertyAsString(MODE).trim();
    }

    /** @param mode {@link #MODE} */
    public void setMode(String mode) {
        setProperty(MODE, mode);
    }

    /** @return {@link #REGISTER_AS}, trimmed */
    public String getRegisterAs() {
        return getPropertyAsString(REGISTER_AS).trim();
    }

    /** @param name {@link #REGISTER_AS} */
    public void setRegisterAs(String name) {
        setProperty(REGISTER_AS, name);
    }

    /** @return {@link #INCOMING_TIMEOUT}, trimmed */
    public String getIncomingTimeout() {
        return getPropertyAsString(INCOMING_TIMEOUT).trim();
    }

    /** @param timeout {@link #INCOMING_TIMEOUT} */
    public void setIncomingTimeout(String timeout) {
        setProperty(INCOMING_TIMEOUT, timeout);
    }

    /** @return {@link #WAIT_FOR}, trimmed */
    public String getWaitFor() {
        return getPropertyAsString(WAIT_FOR).trim();
    }

    /** @param state {@link #WAIT_FOR} */
    public void setWaitFor(String state) {
        setProperty(WAIT_FOR, state);
    }

    /** @return {@link #NEW_CALL} */
    public boolean getNewCall() {
        return getPropertyAsBoolean(NEW_CALL);
    }

    /** @param newCall {@link #NEW_CALL} */
    public void setNewCall(boolean newCall) {
        setProperty(NEW_CALL, newCall);
    }
}
