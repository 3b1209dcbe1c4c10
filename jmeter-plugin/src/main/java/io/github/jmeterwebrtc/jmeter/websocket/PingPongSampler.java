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

/** WebSocket Ping/Pong: an empty ping and its pong, or an unsolicited empty pong (RFC 6455 5.5.3). */
public class PingPongSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;

    /** One of {@link Type} (default PingPong). */
    public static final String TYPE = "type";

    private static final String PONG_FRAME = "{\"opcode\":\"pong\"}";

    /** What is sent. The names are in plan files. */
    public enum Type {
        /** A ping; the sample ends with its pong. */
        PingPong,
        /** A pong that nobody asked for. */
        Pong
    }

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = readTimeoutMs();
        Type type = getType();
        Connection connection =
                existing(thread, result, "Sampler must use existing connection, but there is no connection");
        if (connection == null) {
            return;
        }
        result.request(connectText(connection.url(), true, null));
        result.url(connection.url());
        Opcode opcode = type == Type.Pong ? Opcode.PONG : Opcode.PING;
        result.sent(connection.socket().send(
                bounded.operation(), opcode, true, new byte[0], bounded.clip(timeoutMs)));
        if (type == Type.PingPong) {
            // Messages that arrive meanwhile stay queued for the samplers that read them.
            Frame pong = connection.socket().receiveMatching(bounded.operation(), PONG_FRAME, bounded.clip(timeoutMs));
            result.received(pong);
        }
        succeed(result, false);
    }

    @Override
    boolean readsFrames() {
        return false;
    }

    /** @return {@link #TYPE} */
    public Type getType() {
        String type = getPropertyAsString(TYPE).trim();
        return Type.Pong.name().equals(type) ? Type.Pong : Type.PingPong;
    }

    /** @param type {@link #TYPE} */
    public void setType(Type type) {
        setProperty(TYPE, type.name());
    }
}
