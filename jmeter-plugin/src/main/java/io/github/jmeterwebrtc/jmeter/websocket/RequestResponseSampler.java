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

/** WebSocket request-response Sampler: sends one frame and reads one of the same type. */
public class RequestResponseSampler extends RequestSampler {
    private static final long serialVersionUID = 1L;

    /** A new one opens a connection of its own. */
    public RequestResponseSampler() {
        setCreateNewConnection(true);
    }

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = readTimeoutMs();
        PayloadType type = getType();
        boolean fresh = getCreateNewConnection();
        Connection connection = sendRequest(thread, bounded, result, fresh, timeoutMs);
        if (connection != null) {
            Frame frame = readFrame(connection, bounded, timeoutMs, result);
            accept(connection, frame, type == PayloadType.Binary ? Opcode.BINARY : Opcode.TEXT, result, fresh);
        }
    }
}
