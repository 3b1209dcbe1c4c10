package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/** The WebSocket that carries a call's signaling: the plan's own connection, or one that the call opens. */
public final class SignalingConnection {
    private static final long OPEN_TIMEOUT_MS = 20_000;

    private SignalingConnection() {
    }

    /**
     * Finds the open connection, or opens one.
     *
     * @param thread the JMeter thread
     * @param bounded the right to wait
     * @param result gets the phases of opening, when it opens
     * @param connectionId the plan's name of the connection; may be empty
     * @param url where to open one when there is none; empty = do not
     * @param gate the start gate of the call, for the opening; null = none
     * @return null when there is none and none shall be opened
     * @throws InvalidElementException when the URL cannot be used
     * @throws EngineException when it cannot be opened
     * @throws TimeoutException when it was not open in time
     */
    public static Connection findOrOpen(
            ThreadScope thread, BoundedWait bounded, ResultBuilder result, String connectionId, String url,
            JsonNode gate)
            throws InvalidElementException, EngineException, TimeoutException {
        String name = ThreadScope.connectionName(connectionId);
        Connection existing = thread.connection(name);
        if (existing != null && existing.socket().isOpen()) {
            return existing;
        }
        if (url.isEmpty()) {
            return null;
        }
        return ConnectionRequest.ofUrl(url, OPEN_TIMEOUT_MS, gate)
                .open(name, thread.scope(), thread, bounded, result);
    }

    /**
     * Why a connection that the plan had opened is of no use any more.
     *
     * @param thread the JMeter thread
     * @param connectionId the plan's name of the connection; may be empty
     * @return how it ended and why; null when there never was one
     */
    public static CloseCause whyClosed(ThreadScope thread, String connectionId) {
        Connection known = thread.connection(ThreadScope.connectionName(connectionId));
        return known == null ? null : known.socket().closeCause();
    }
}
