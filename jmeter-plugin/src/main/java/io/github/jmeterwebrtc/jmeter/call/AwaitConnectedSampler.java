package io.github.jmeterwebrtc.jmeter.call;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/** WebRTC Await Connected: waits until a call is connected, or until its first audio packet is in. */
public class AwaitConnectedSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    /** {@code connected} (default; ICE and DTLS) or {@code media} (first RTP packet in). */
    public static final String STATE = "state";
    /** How long to wait, ms (default 30000). */
    public static final String TIMEOUT = "timeout";

    private static final String CONNECTED = "connected";
    private static final String MEDIA = "media";
    private static final long TIMEOUT_MS = 30_000;
    private static final long MAX_TIMEOUT_MS = 3_600_000;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        String state = getState();
        if (state.isEmpty()) {
            state = CONNECTED;
        } else if (!CONNECTED.equals(state) && !MEDIA.equals(state)) {
            throw new InvalidElementException("state: '" + state + "' is not connected or media");
        }
        long timeoutMs = Setting.number(TIMEOUT, getTimeout(), 1, MAX_TIMEOUT_MS, TIMEOUT_MS);
        result.request("Waiting for " + state);
        PlacedCall call = talkingCall(thread, result);
        if (call == null) {
            return;
        }
        call.session().await(bounded.operation(), state, bounded.clip(timeoutMs));
        writeSessionColumns(call.session().report());
        result.success("200", "OK");
    }

    @Override
    String timeoutCode() {
        return MEDIA.equals(getState()) ? Codes.MEDIA_NONE_IN : Codes.ICE_FAILED;
    }

    /** @return {@link #STATE}, trimmed */
    public String getState() {
        return getPropertyAsString(STATE).trim();
    }

    /** @param state {@link #STATE} */
    public void setState(String state) {
        setProperty(STATE, state);
    }

    /** @return {@link #TIMEOUT}, trimmed */
    public String getTimeout() {
        return getPropertyAsString(TIMEOUT).trim();
    }

    /** @param timeout {@link #TIMEOUT} */
    public void setTimeout(String timeout) {
        setProperty(TIMEOUT, timeout);
    }
}
