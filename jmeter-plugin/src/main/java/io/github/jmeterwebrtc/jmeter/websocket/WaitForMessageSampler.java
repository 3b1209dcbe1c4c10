package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/**
 * WebSocket Wait for Message: the first message, queued or still to come, that matches; all others stay queued in order.
 */
public class WaitForMessageSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;

    /** {@code text} (contains, default), {@code regex} or {@code jsonPath}. */
    public static final String MATCH_TYPE = "matchType";
    /** Text, regular expression or JSONPath; empty with {@code text} = any message. */
    public static final String MATCH_VALUE = "matchValue";
    /** With {@code jsonPath}: the value it must select (default empty = any). */
    public static final String EXPECTED_VALUE = "expectedValue";

    /** {@link #MATCH_TYPE}: the message contains the text. */
    public static final String TEXT = "text";
    /** {@link #MATCH_TYPE}: a regular expression is found in the message. */
    public static final String REGEX = "regex";
    /** {@link #MATCH_TYPE}: a JSONPath selects something in the message. */
    public static final String JSON_PATH = "jsonPath";

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = readTimeoutMs();
        String matcher = matcher(getMatchType(), getMatchValue(), getExpectedValue());
        Connection connection =
                existing(thread, result, "Sampler must use existing connection, but there is no connection");
        if (connection == null) {
            return;
        }
        result.request(connectText(connection.url(), true, null) + "\nWaiting for:\n" + matcher + "\n");
        result.url(connection.url());
        Frame frame = connection.socket().receiveMatching(bounded.operation(), matcher, bounded.clip(timeoutMs));
        result.received(frame);
        result.content(frame, frame.opcode() == Opcode.BINARY ? Opcode.BINARY : Opcode.TEXT);
        succeed(result, false);
    }

    /** The engine's matcher; pure. */
    static String matcher(String type, String value, String expected) throws InvalidElementException {
        ObjectNode matcher = new ObjectMapper().createObjectNode();
        switch (type) {
            case "":
            case TEXT:
                matcher.put("text", value);
                break;
            case REGEX:
                matcher.put("regex", required(value));
                break;
            case JSON_PATH:
                matcher.put("jsonPath", required(value));
                if (!expected.isEmpty()) {
                    matcher.put("value", expected);
                }
                break;
            default:
                throw new InvalidElementException(
                        "Match type ('matchType') '" + type + "' is not one of text, regex, jsonPath.");
        }
        return matcher.toString();
    }

    private static String required(String value) throws InvalidElementException {
        if (value.isEmpty()) {
            throw new InvalidElementException("Match value ('matchValue') is empty.");
        }
        return value;
    }

    /** @return {@link #MATCH_TYPE}, trimmed */
    public String getMatchType() {
        return getPropertyAsString(MATCH_TYPE).trim();
    }

    /** @param type {@link #MATCH_TYPE} */
    public void setMatchType(String type) {
        setProperty(MATCH_TYPE, type);
    }

    /** @return {@link #MATCH_VALUE} */
    public String getMatchValue() {
        return getPropertyAsString(MATCH_VALUE);
    }

    /** @param value {@link #MATCH_VALUE} */
    public void setMatchValue(String value) {
        setProperty(MATCH_VALUE, value);
    }

    /** @return {@link #EXPECTED_VALUE} */
    public String getExpectedValue() {
        return getPropertyAsString(EXPECTED_VALUE);
    }

    /** @param value {@link #EXPECTED_VALUE} */
    public void setExpectedValue(String value) {
        setProperty(EXPECTED_VALUE, value);
    }
}
