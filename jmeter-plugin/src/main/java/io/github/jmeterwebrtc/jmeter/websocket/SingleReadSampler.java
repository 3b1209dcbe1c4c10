package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/** WebSocket Single Read Sampler: reads one frame, which may have arrived long before. */
public class SingleReadSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;

    /** One of {@link DataType} (default: {@link RequestSampler#BINARY_PAYLOAD}, then Text). */
    public static final String DATA_TYPE = "dataType";
    /** {@code true} = nothing to read is a success (boolProp, default false). */
    public static final String OPTIONAL = "optional";

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = readTimeoutMs();
        Opcode wanted = expected(dataType());
        boolean fresh = getCreateNewConnection();
        Connection connection = connection(thread, bounded, result, fresh, null);
        if (connection != null) {
            Frame frame = readFrame(connection, bounded, timeoutMs, result);
            accept(connection, frame, wanted, result, fresh);
        }
    }

    @Override
    protected void timedOut(ResultBuilder result, TimeoutException timeout) {
        if (getOptional()) {
            result.success("No response", "Read timeout, no response received.");
        } else {
            super.timedOut(result, timeout);
        }
    }

    private static Opcode expected(DataType type) {
        switch (type) {
            case Text:
                return Opcode.TEXT;
            case Binary:
                return Opcode.BINARY;
            default:
                return null;
        }
    }

    private DataType dataType() throws InvalidElementException {
        try {
            return getDataType();
        } catch (IllegalArgumentException e) {
            throw new InvalidElementException(
                    "Data type ('dataType') '" + getPropertyAsString(DATA_TYPE) + "' is not one of Text, Binary, Any.");
        }
    }

    /** @return {@link #DATA_TYPE}; throws {@link IllegalArgumentException} when it is none of them */
    public DataType getDataType() {
        String type = getPropertyAsString(DATA_TYPE).trim();
        if (type.isEmpty()) {
            return getPropertyAsBoolean(RequestSampler.BINARY_PAYLOAD) ? DataType.Binary : DataType.Text;
        }
        return DataType.valueOf(type);
    }

    /** @param type {@link #DATA_TYPE} */
    public void setDataType(DataType type) {
        setProperty(DATA_TYPE, type.name());
    }

    /** @return {@link #OPTIONAL} */
    public boolean getOptional() {
        return getPropertyAsBoolean(OPTIONAL);
    }

    /** @param optional {@link #OPTIONAL} */
    public void setOptional(boolean optional) {
        setProperty(OPTIONAL, optional);
    }
}
