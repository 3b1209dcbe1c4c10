package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Socket;

/** An open WebSocket and what this plan knows about it. Used by one JMeter thread at a time. */
public final class Connection {
    private final Socket socket;
    private final String url;
    private Opcode messageType = Opcode.TEXT;
    private String registeredAs = "";

    /**
     * Remembers a connection.
     *
     * @param socket the socket
     * @param url the URL it was opened with
     */
    public Connection(Socket socket, String url) {
        this.socket = socket;
        this.url = url;
    }

    /**
     * The socket.
     *
     * @return the engine's socket
     */
    public Socket socket() {
        return socket;
    }

    /**
     * The URL it was opened with.
     *
     * @return {@code ws://…} or {@code wss://…}
     */
    public String url() {
        return url;
    }

    /**
     * The name this connection is reachable under for incoming calls.
     *
     * @return empty when it is not registered
     */
    public String registeredAs() {
        return registeredAs;
    }

    /**
     * Remembers a registration.
     *
     * @param name the name
     */
    public void setRegisteredAs(String name) {
        registeredAs = name;
    }

    /**
     * The type of a frame, where a continuation frame has that of the message it continues (RFC 6455 5.4).
     *
     * @param frame the next frame of this connection
     * @return TEXT or BINARY for data frames, the frame's own opcode otherwise
     */
    public Opcode typeOf(Frame frame) {
        switch (frame.opcode()) {
            case TEXT:
            case BINARY:
                messageType = frame.opcode();
                return messageType;
            case CONTINUATION:
                return messageType;
            default:
                return frame.opcode();
        }
    }
}
