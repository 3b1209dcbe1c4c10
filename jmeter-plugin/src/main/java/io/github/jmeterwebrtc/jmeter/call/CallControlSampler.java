package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.PlacedCall;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/**
 * WebRTC Call Control: mutes, holds or transfers a call of a softphone, sends digits, or restarts ICE, as its profile says.
 *
 * <p>The sample ends when the command is given; what the server makes of it is for its protocol to say. Digits that go as telephone
 * events (RFC 4733) are waited for; the response says by which way they went. What the profile does not know is a failure that
 * names command and profile.
 */
public class CallControlSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /**
     * {@code mute} (default), {@code unmute}, {@code hold}, {@code resume}, {@code dtmf}, {@code transfer} or {@code restartIce}
     * (RFC 8445 §9, by an offer of ours).
     */
    public static final String COMMAND = "command";
    /** With {@code dtmf}: what is dialled, of {@code 0-9 A-D * #} and {@code ,} for a pause of two seconds. */
    public static final String DIGITS = "digits";
    /** With {@code dtmf}: {@code auto} (default), {@code telephone-event} or {@code signaling}. */
    public static final String DTMF_BY = "dtmfBy";
    /** With {@code dtmf}: how long a tone is, ms (default 100). */
    public static final String TONE_DURATION = "toneDuration";
    /** With {@code dtmf}: how long it is silent between two tones, ms (default 70). */
    public static final String TONE_GAP = "toneGap";
    /** With {@code transfer}: to whom. */
    public static final String TO = "to";
    /** How long it may take, ms (default 10000). */
    public static final String TIMEOUT = "timeout";

    /** The commands; the first is that of an empty field. */
    static final List<String> COMMANDS =
            Collections.unmodifiableList(Arrays.asList("mute", "unmute", "hold", "resume", "dtmf", "transfer", "restartIce"));

    /** How DTMF goes; the first is that of an empty field. */
    static final List<String> WAYS = Collections.unmodifiableList(Arrays.asList("auto", "telephone-event", "signaling"));

    private static final Pattern DIALLED = Pattern.compile("[0-9A-Da-d*#,]{1,64}");
    private static final long LONGEST_TONE_MS = 6_000;
    private static final long TIMEOUT_MS = 10_000;
    private static final long MAX_TIMEOUT_MS = 3_600_000;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        ObjectNode command = command(getCommand(), getDigits(), getTo());
        if ("dtmf".equals(command.path("command").asText())) {
            howToDial(command, getDtmfBy(), getToneDuration(), getToneGap());
        }
        long timeoutMs = Setting.number(TIMEOUT, getTimeout(), 1, MAX_TIMEOUT_MS, TIMEOUT_MS);
        result.request(command.toString());
        PlacedCall call = talkingCall(thread, result);
        if (call == null) {
            return;
        }
        JsonNode done = call.session().control(bounded.operation(), command.toString(), bounded.clip(timeoutMs));
        if (done.path("elapsedUs").isNumber()) {
            result.took(done.path("elapsedUs").asLong());
        }
        writeSessionColumns(call.session().report());
        result.json(done);
        result.success("200", "OK");
    }

    /** The engine's command; pure. */
    static ObjectNode command(String given, String digits, String to) throws InvalidElementException {
        String command = given.isEmpty() ? COMMANDS.get(0) : given;
        if (!COMMANDS.contains(command)) {
            throw new InvalidElementException("command: '" + command + "' is none of " + String.join(", ", COMMANDS));
        }
        ObjectNode json = new ObjectMapper().createObjectNode().put("command", command);
        if ("dtmf".equals(command)) {
            if (!DIALLED.matcher(digits).matches()) {
                throw new InvalidElementException("digits: '" + digits + "' is not 1 to 64 of 0-9, A-D, *, # and ,");
            }
            json.put("digits", digits);
        } else if ("transfer".equals(command)) {
            if (to.isEmpty()) {
                throw new InvalidElementException("to: it is empty; a transfer needs somebody to go to");
            }
            json.put("to", to);
        }
        return json;
    }

    /** Adds what is said of tones; pure. */
    static void howToDial(ObjectNode command, String by, String duration, String gap) throws InvalidElementException {
        if (!by.isEmpty() && !WAYS.contains(by)) {
            throw new InvalidElementException(DTMF_BY + ": '" + by + "' is none of " + String.join(", ", WAYS));
        }
        if (!by.isEmpty()) {
            command.put("by", by);
        }
        if (!duration.isEmpty()) {
            command.put("durationMs", Setting.number(TONE_DURATION, duration, 40, LONGEST_TONE_MS, 0));
        }
        if (!gap.isEmpty()) {
            command.put("gapMs", Setting.number(TONE_GAP, gap, 30, LONGEST_TONE_MS, 0));
        }
    }

    /** @return {@link #COMMAND}, trimmed */
    public String getCommand() {
        return getPropertyAsString(COMMAND).trim();
    }

    /** @param command {@link #COMMAND} */
    public void setCommand(String command) {
        setProperty(COMMAND, command);
    }

    /** @return {@link #DIGITS}, trimmed */
    public String getDigits() {
        return getPropertyAsString(DIGITS).trim();
    }

    /** @param digits {@link #DIGITS} */
    public void setDigits(String digits) {
        setProperty(DIGITS, digits);
    }

    /** @return {@link #DTMF_BY}, trimmed */
    public String getDtmfBy() {
        return getPropertyAsString(DTMF_BY).trim();
    }

    /** @param way {@link #DTMF_BY} */
    public void setDtmfBy(String way) {
        setProperty(DTMF_BY, way);
    }

    /** @return {@link #TONE_DURATION}, trimmed */
    public String getToneDuration() {
        return getPropertyAsString(TONE_DURATION).trim();
    }

    /** @param duration {@link #TONE_DURATION} */
    public void setToneDuration(String duration) {
        setProperty(TONE_DURATION, duration);
    }

    /** @return {@link #TONE_GAP}, trimmed */
    public String getToneGap() {
        return getPropertyAsString(TONE_GAP).trim();
    }

    /** @param gap {@link #TONE_GAP} */
    public void setToneGap(String gap) {
        setProperty(TONE_GAP, gap);
    }

    /** @return {@link #TO}, trimmed */
    public String getTo() {
        return getPropertyAsString(TO).trim();
    }

    /** @param to {@link #TO} */
    public void setTo(String to) {
        setProperty(TO, to);
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
