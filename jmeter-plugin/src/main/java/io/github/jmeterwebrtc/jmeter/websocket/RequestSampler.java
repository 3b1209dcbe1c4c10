package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import java.io.IOException;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The samplers that send request data: one frame, final, of the payload's type. */
public abstract class RequestSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;
    private static final Pattern ONE_BYTE_OR_DIGITS = Pattern.compile("0[xX][0-9a-fA-F]{1,2}|[0-9a-fA-F]+");
    private static final Logger LOG = LoggerFactory.getLogger(RequestSampler.class);

    /** Text, or hexadecimal text for a binary payload (default empty). */
    public static final String REQUEST_DATA = "requestData";
    /** One of {@link PayloadType} (default: {@link #BINARY_PAYLOAD}, then Text). */
    public static final String PAYLOAD_TYPE = "payloadType";
    /** What old plans have instead of {@link #PAYLOAD_TYPE} (boolProp). */
    public static final String BINARY_PAYLOAD = "binaryPayload";
    /** {@code true} = request data come from {@link #DATA_FILE} (boolProp, default false). */
    public static final String LOAD_DATA_FROM_FILE = "loadDataFromFile";
    /** Path, relative to the JVM's working directory. */
    public static final String DATA_FILE = "dataFile";

    /**
     * Reads hexadecimal request data, see {@link HexBytes}; a token that is not one byte or a row of digits is refused.
     *
     * @param text the request data
     * @return the bytes
     * @throws NumberFormatException where it is not hexadecimal
     */
    protected byte[] bytesOfHex(String text) {
        String data = text.trim();
        for (String token : data.isEmpty() ? new String[0] : data.split("\\s+")) {
            if (!ONE_BYTE_OR_DIGITS.matcher(token).matches()) {
                throw new NumberFormatException(token);
            }
        }
        return HexBytes.parse(data.replaceAll("\\s+", " ").replace("0X", "0x"));
    }

    /** Sends the payload; bounded by the read timeout, since a peer that does not read stops a sender too. */
    final void send(Connection connection, RequestPayload payload, BoundedWait bounded, ResultBuilder result, long timeoutMs)
            throws EngineException, TimeoutException {
        result.sent(connection.socket().send(
                bounded.operation(), payload.opcode(), true, payload.bytes(), bounded.clip(timeoutMs)));
    }

    /** Finds or opens the connection and sends; the rest is the sampler's own. */
    final Connection sendRequest(ThreadScope thread, BoundedWait bounded, ResultBuilder result, boolean createNew,
            long timeoutMs) throws InvalidElementException, EngineException, TimeoutException {
        RequestPayload payload;
        try {
            payload = RequestPayload.of(this);
        } catch (IOException e) {
            throw new InvalidElementException("Data file ('dataFile') '" + getDataFile() + "': " + e.getMessage());
        }
        Connection connection = connection(thread, bounded, result, createNew, payload.shown());
        if (connection != null) {
            send(connection, payload, bounded, result, timeoutMs);
        }
        return connection;
    }

    /** @return {@link #REQUEST_DATA} */
    public String getRequestData() {
        return getPropertyAsString(REQUEST_DATA);
    }

    /** @param data {@link #REQUEST_DATA} */
    public void setRequestData(String data) {
        setProperty(REQUEST_DATA, data);
    }

    /** @return {@link #PAYLOAD_TYPE}; Text when it is none of them */
    public PayloadType getType() {
        String type = getPropertyAsString(PAYLOAD_TYPE).trim();
        if (type.isEmpty()) {
            return getPropertyAsBoolean(BINARY_PAYLOAD) ? PayloadType.Binary : PayloadType.Text;
        }
        try {
            return PayloadType.valueOf(type);
        } catch (IllegalArgumentException e) {
            LOG.warn("{}: payloadType '{}' is not one of Binary, Text, TextStomp; using Text", getName(), type);
            return PayloadType.Text;
        }
    }

    /** @param type {@link #PAYLOAD_TYPE} */
    public void setType(PayloadType type) {
        setProperty(PAYLOAD_TYPE, type.name());
    }

    /** @return {@link #LOAD_DATA_FROM_FILE} */
    public boolean getLoadDataFromFile() {
        return getPropertyAsBoolean(LOAD_DATA_FROM_FILE);
    }

    /** @param load {@link #LOAD_DATA_FROM_FILE} */
    public void setLoadDataFromFile(boolean load) {
        setProperty(LOAD_DATA_FROM_FILE, load);
    }

    /** @return {@link #DATA_FILE} */
    public String getDataFile() {
        return getPropertyAsString(DATA_FILE);
    }

    /** @param path {@link #DATA_FILE} */
    public void setDataFile(String path) {
        setProperty(DATA_FILE, path);
    }
}
