package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.CallOutcome;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.autoice.CallName;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.result.CallRecord;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.RegisteredSoftphone;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * WebRTC Answer Call: takes the next call of a softphone, or the first that waits already, as one sample.
 *
 * <p>The sample begins when the call came in, not when somebody began to wait: elapsed time = call in → first RTP packet in,
 * Connect Time = call in → ICE connected, Latency = call in → DTLS done. Each sample takes another call; one that is still up
 * under the same name is hung up first. Without a call in time the sample fails, and its time is that of the wait.
 */
public class AnswerCallSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /** Name of the softphone within its thread (default empty, which is a name too). */
    public static final String SOFTPHONE = CallSampler.SOFTPHONE;
    /** How long to wait for a call, ms (default 60000). */
    public static final String INCOMING_TIMEOUT = CallSampler.INCOMING_TIMEOUT;
    /** How long it rings before it is answered, ms (default 0); one that the protocol answers by itself does not ring. */
    public static final String RING = "ring";
    /** The sample ends at {@code media} (default, first RTP packet in) or {@code connected} (ICE and DTLS). */
    public static final String WAIT_FOR = CallSampler.WAIT_FOR;

    private static final String MEDIA = "media";
    private static final long INCOMING_MS = 60_000;
    private static final long MAX_TIMEOUT_MS = 86_400_000;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        String callName = getCallName();
        String softphoneName = getSoftphone();
        long incomingMs = Setting.number(INCOMING_TIMEOUT, getIncomingTimeout(), 1, MAX_TIMEOUT_MS, INCOMING_MS);
        long ringMs = Setting.number(RING, getRing(), 0, MAX_TIMEOUT_MS, 0);
        boolean media = MEDIA.equals(CallSampler.choice(WAIT_FOR, getWaitFor(), MEDIA, "connected"));
        CallSettings settings = CallSettings.of(this);
        result.request("Answer the next call of softphone '" + softphoneName + "' as call '" + callName + "'\n");
        RegisteredSoftphone softphone = thread.softphones().get(softphoneName);
        if (softphone == null) {
            result.failure(Codes.CONFIG, RegisteredSoftphone.missing(softphoneName));
            return;
        }
        PlacedCall before = thread.calls().remove(callName);
        if (before != null) {
            thread.reportIfLost(before, before.session().hangUp(bounded.operation(), bounded.clip(settings.byeTimeoutMs())));
        }
        ObjectNode config = settings.softphoneCall();
        config.remove("gate");
        config.put("incomingTimeoutMs", incomingMs);
        config.put("ringMs", ringMs);
        config.put("awaitMedia", media);
        CallOutcome outcome = softphone.softphone().answer(bounded.operation(), CallName.ofEngine(callName), config.toString(),
                bounded.clip(incomingMs + ringMs + settings.softphoneTimeoutMs()));
        CallRecord.write(outcome, result);
        writeSessionColumns(outcome.json());
        result.happenedAt(System.currentTimeMillis() - TimeUnit.MICROSECONDS.toMillis(outcome.elapsedUs()));
        if (outcome.success()) {
            thread.calls().put(callName, new PlacedCall(callName, outcome));
        }
    }

    /** @return {@link #SOFTPHONE}, trimmed */
    public String getSoftphone() {
        return getPropertyAsString(SOFTPHONE).trim();
    }

    /** @param name {@link #SOFTPHONE} */
    public void setSoftphone(String name) {
        setProperty(SOFTPHONE, name);
    }

    /** @return {@link #INCOMING_TIMEOUT}, trimmed */
    public String getIncomingTimeout() {
        return getPropertyAsString(INCOMING_TIMEOUT).trim();
    }

    /** @param timeout {@link #INCOMING_TIMEOUT} */
    public void setIncomingTimeout(String timeout) {
        setProperty(INCOMING_TIMEOUT, timeout);
    }

    /** @return {@link #RING}, trimmed */
    public String getRing() {
        return getPropertyAsString(RING).trim();
    }

    /** @param millis {@link #RING} */
    public void setRing(String millis) {
        setProperty(RING, millis);
    }

    /** @return {@link #WAIT_FOR}, trimmed */
    public String getWaitFor() {
        return getPropertyAsString(WAIT_FOR).trim();
    }

    /** @param state {@link #WAIT_FOR} */
    public void setWaitFor(String state) {
        setProperty(WAIT_FOR, state);
    }
}
