package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Socket;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeoutException;

/** WebSocket Close: the closing handshake (RFC 6455 7.1.2) with a status of the plan's choice. */
public class CloseSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;

    /** Status of the close frame, 1000–4999 (default 1000). */
    public static final String STATUS_CODE = "statusCode";

    private static final String CLOSE_FRAME = "{\"opcode\":\"close\"}";
    private static final String REASON = "sampler requested close";
    private static final int LEAST_STATUS = 1000;
    private static final int MOST_STATUS = 4999;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = readTimeoutMs();
        String code = getStatusCode();
        int status = (int) ConnectionRequest.number(code, LEAST_STATUS, MOST_STATUS,
                "Status code '" + code + "' is not a number.",
                "Status code '" + code + "' is not valid; should be between " + LEAST_STATUS + " and " + MOST_STATUS);
        result.request("Requested connection close with status " + status + " and reason '" + REASON + "'.");
        String name = connectionName();
        Connection connection = thread.connection(name);
        Socket socket = connection == null ? null : connection.socket();
        if (socket == null || !socket.isOpen()) {
            CloseCause cause = socket == null ? null : socket.closeCause();
            result.failure("", "No connection; nothing to close." + (cause == null ? "" : " " + cause.describe()));
            forget(thread, name);
            return;
        }
        try {
            result.sent(socket.send(
                    bounded.operation(), Opcode.CLOSE, true, closePayload(status), bounded.clip(timeoutMs)));
            Frame answer = socket.receiveMatching(bounded.operation(), CLOSE_FRAME, bounded.clip(timeoutMs));
            result.received(answer);
            int answered = FrameText.closeStatus(answer.payload());
            String reason = FrameText.closeReason(answer.payload());
            result.success(Integer.toString(answered), "Connection closed; close reason: '" + reason + "'.");
            result.text(answered + ": " + reason);
        } finally {
            forget(thread, name);
        }
    }

    @Override
    protected void failed(ResultBuilder result, EngineException failure) {
        if ("CLOSED".equals(failure.code())) {
            result.failure("WebSocket error: unsuccesful close.",
                    "WebSocket error: received not a close frame, but " + failure.getMessage());
            result.evidence(failure.getMessage(), failure.resultCode(), failure.details());
        } else {
            super.failed(result, failure);
        }
    }

    private static byte[] closePayload(int status) {
        byte[] reason = REASON.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(2 + reason.length).putShort((short) status).put(reason).array();
    }

    private static void forget(ThreadScope thread, String name) {
        thread.forget(name);
        thread.scope().releaseSocket(name);
    }

    @Override
    boolean readsFrames() {
        return false;
    }

    /** @return {@link #STATUS_CODE}, trimmed */
    public String getStatusCode() {
        return getPropertyAsString(STATUS_CODE, "1000").trim();
    }

    /** @param status {@link #STATUS_CODE} */
    public void setStatusCode(String status) {
        setProperty(STATUS_CODE, status);
    }
}
