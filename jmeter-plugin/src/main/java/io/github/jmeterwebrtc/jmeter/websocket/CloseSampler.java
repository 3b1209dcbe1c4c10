package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.Socket;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;

/** WebSocket Close: the closing handshake (RFC 6455 7.1.2) with a status of the plan's choice. */
public class CloseSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;

    /** Status of the close frame, 1000–4999 (default 1000). */
    public static final String STATUS_CODE = "statusCode";

    private static final String REASON = "sampler requested close";
    private static final int LEAST_STATUS = 1000;
    private static final int MOST_STATUS = 4999;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) throws InvalidElementException {
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
        CloseCause cause = socket.closeWith(bounded.operation(), status, REASON, bounded.clip(timeoutMs));
        result.onJavaClock();
        describe(cause, result);
        forget(thread, name);
    }

    private static void describe(CloseCause cause, ResultBuilder result) {
        Integer peer = cause.code();
        if ("closedByUs".equals(cause.kind()) || "closeFrame".equals(cause.kind())) {
            String reason = cause.reason();
            String code = peer == null ? "1005" : peer.toString();
            result.success(code, "Connection closed; close reason: '" + reason + "'.");
            result.text(code + ": " + reason);
        } else {
            result.failure("WebSocket error: unsuccesful close.",
                    "WebSocket error: received not a close frame, but " + cause.describe());
            result.evidence("WebSocket closed", cause.kind(), cause.json());
        }
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
