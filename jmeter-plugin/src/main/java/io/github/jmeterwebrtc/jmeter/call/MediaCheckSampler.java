package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/**
 * WebRTC Media Check: what came and went since the last check, or since the call was connected.
 *
 * <p>It does not wait: a JMeter timer before it holds the call.
 */
public class MediaCheckSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    /** Fewest RTP packets received since the last check (default 1; 0 = silence is accepted). */
    public static final String MIN_PACKETS_RECEIVED = "minPacketsReceived";
    /** Most lost packets, percent of those expected (default empty = no limit). */
    public static final String MAX_LOSS_PERCENT = "maxLossPercent";
    /** Most interarrival jitter, ms (default empty = no limit). */
    public static final String MAX_JITTER_MS = "maxJitterMs";
    /** Longest round trip time, ms; unknown is accepted (default empty = no limit). */
    public static final String MAX_ROUND_TRIP_TIME_MS = "maxRoundTripTimeMs";

    private static final long CHECK_MS = 5_000;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        MediaLimits limits = new MediaLimits(
                Setting.number(MIN_PACKETS_RECEIVED, getMinPacketsReceived(), 0, Integer.MAX_VALUE, 1),
                Setting.decimal(MAX_LOSS_PERCENT, getMaxLossPercent()),
                Setting.decimal(MAX_JITTER_MS, getMaxJitterMs()),
                Setting.decimal(MAX_ROUND_TRIP_TIME_MS, getMaxRoundTripTimeMs()));
        PlacedCall call = talkingCall(thread, result);
        if (call == null) {
            return;
        }
        JsonNode check = call.session().check(bounded.operation(), bounded.clip(CHECK_MS));
        writeSessionColumns(call.session().report());
        writeMediaColumns(check);
        result.starved(check.path("starved").asBoolean());
        MediaLimits.Breach breach = limits.breach(check);
        if (breach == null) {
            result.success("200", "OK");
            result.json(check);
        } else {
            result.failure(breach.code(), breach.message());
            result.evidence(breach.message(), breach.code(), check);
        }
    }

    /** @return {@link #MIN_PACKETS_RECEIVED} */
    public String getMinPacketsReceived() {
        return getPropertyAsString(MIN_PACKETS_RECEIVED);
    }

    /** @param packets {@link #MIN_PACKETS_RECEIVED} */
    public void setMinPacketsReceived(String packets) {
        setProperty(MIN_PACKETS_RECEIVED, packets);
    }

    /** @return {@link #MAX_LOSS_PERCENT} */
    public String getMaxLossPercent() {
        return getPropertyAsString(MAX_LOSS_PERCENT);
    }

    /** @param percent {@link #MAX_LOSS_PERCENT} */
    public void setMaxLossPercent(String percent) {
        setProperty(MAX_LOSS_PERCENT, percent);
    }

    /** @return {@link #MAX_JITTER_MS} */
    public String getMaxJitterMs() {
        return getPropertyAsString(MAX_JITTER_MS);
    }

    /** @param millis {@link #MAX_JITTER_MS} */
    public void setMaxJitterMs(String millis) {
        setProperty(MAX_JITTER_MS, millis);
    }

    /** @return {@link #MAX_ROUND_TRIP_TIME_MS} */
    public String getMaxRoundTripTimeMs() {
        return getPropertyAsString(MAX_ROUND_TRIP_TIME_MS);
    }

    /** @param millis {@link #MAX_ROUND_TRIP_TIME_MS} */
    public void setMaxRoundTripTimeMs(String millis) {
        setProperty(MAX_ROUND_TRIP_TIME_MS, millis);
    }
}
