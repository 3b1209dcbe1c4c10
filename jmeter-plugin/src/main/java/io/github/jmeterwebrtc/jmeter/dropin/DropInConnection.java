package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Socket;

/**
 * An open WebSocket of a plan, and what its samplers have seen of it. Used by one sampler at a time.
 *
 * <p>Closing frames change its state; that TCP has ended does not: the next sampler finds out, as it always has.
 */
final class DropInConnection {
    private final Socket socket;
    private final String url;
    private boolean closeSent;
    private boolean closeReceived;
    private Opcode message = Opcode.TEXT;

    DropInConnection(Socket socket, String url) {
        this.socket = socket;
        this.url = url;
    }

    Socket socket() {
        return socket;
    }

    /** The URL it was opened with. */
    String url() {
        return url;
    }

    /** Whether neither side has sent a close frame that a sampler knows of. */
    boolean isConnected() {
        return !closeSent && !closeReceived;
    }

    void closeSent() {
        closeSent = true;
    }

    /** Takes note of a frame; the kind of a continuation is that of its message. */
    Opcode kindOf(Frame frame) {
        switch (frame.opcode()) {
            case TEXT:
            case BINARY:
                message = frame.opcode();
                return message;
            case CONTINUATION:
                return message;
            case CLOSE:
                closeReceived = true;
                return Opcode.CLOSE;
            default:
                return frame.opcode();
        }
    }

    /** Ends TCP now, without a close frame. */
    void drop() {
        socket.abort();
    }
}
