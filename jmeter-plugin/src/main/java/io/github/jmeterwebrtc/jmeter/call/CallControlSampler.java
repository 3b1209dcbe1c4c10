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
 * WebRTC Call Control: mutes, holds or transfers a call of a softphone, or sends digits, as its profile says.
 *
 * <p>The sample ends when the command is given; what the server makes of it is for its protocol to say. What the profile does not
 * know is a failure that names command and profile.
 */
public class CallControlSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /** {@code mute} (default), {@code unmute}, {@code hold}, {@code resume}, {@code dtmf} or {@code transfer}. */
    public static final String COMMAND = "command";
    /** With {@code dtmf}: what is dialled, of {@code 0-9 A-D * #}. */
    public static final String DIGITS = "digits";
    /** With {@code transfer}: to whom. */
    public static final String TO = "to";
    /** How long it may take, ms (default 10000). */
    public static final String TIMEOUT = "timeout";

    /** The commands; the first is that of an empty field. */
    static final List<String> COMMANDS =
            Collections.unmodifiableList(Arrays.asList("mute", "unmute", "hold", "resume", "dtmf", "transfer"));

    private static final Pattern DIALLED = Pattern.compile("[0-9A-D*#]{1,64}");
    private static final long TIMEOUT_MS = 10_000;
    private static final long MAX_TIMEOUT_MS = 3_600_000;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        ObjectNode command = command(getCommand(), getDigits(), getTo());
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
                throw new InvalidElementException("digits: '" + digits + "' is not 1 to 64 of 0-9, A-D, * and #");
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
