package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Socket;
import java.net.URL;

/**
 * An open WebSocket of a plan, and what its samplers have seen of it. Used by one sampler at a time.
 *
 * <p>Closing frames change its state; that TCP has ended does not: the next sampler finds out, as it always has.
 */
final class DropInConnection {
    private final Socket socket;
    private final String url;
    private final String existing;
    private final Address address;
    private boolean closeSent;
    private boolean closeReceived;
    private boolean dropped;
    private boolean tlsBroken;
    private String missed;
    private Frame kept;
    private Opcode message = Opcode.TEXT;

    /** One that a drop-in element has opened. */
    DropInConnection(Socket socket, Address address) {
        this.socket = socket;
        this.address = address;
        url = address.shown();
        existing = existing(url);
    }

    /** One that another element has opened. */
    DropInConnection(Socket socket, String url) {
        this.socket = socket;
        this.url = url;
        existing = existing(url);
        address = null;
    }

    Socket socket() {
        return socket;
    }

    /** The URL it was opened with. */
    String url() {
        return url;
    }

    private static String existing(String url) {
        return "Connect URL:\n" + url + "\n(using existing connection)\n";
    }

    /** Begin of the sampler data of those that use it and have not opened it. */
    String existing() {
        return existing;
    }

    /** The URL that decides about cookies; null when another element has opened it. */
    URL cookieUrl() {
        return address == null ? null : address.url();
    }

    /** Whether neither side has sent a close frame that a sampler knows of, and it was not dropped. */
    boolean isConnected() {
        return !closeSent && !closeReceived && !dropped;
    }

    /**
     * Where the next sampler that wants to use it connects to anew: a connection that was dropped for one that could not
     * even be tried comes back this way, and one whose closing handshake was completed by the sample that opened it.
     *
     * @return null when it is not that kind of connection
     */
    Address comebackAddress() {
        return closeSent == closeReceived && (closeSent || dropped) ? address : null;
    }

    /** The state of a connection that ended by a close frame, in the word of the messages about it. */
    String closedState() {
        return closeReceived ? "CLOSED_SERVER" : "CLOSED_CLIENT";
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

    /** Whether it was opened over TLS. */
    boolean isSecure() {
        return address != null && address.isSecure();
    }

    /** Reading met another error than the end of the stream: Java's TLS sockets call every later one by other names. */
    void broke() {
        tlsBroken = isSecure();
    }

    /** Whether {@link #broke()} was told of a TLS connection. */
    boolean isTlsBroken() {
        return tlsBroken;
    }

    /** A sampler has waited in vain for a frame; in words that go on after "since". */
    void missed(String words) {
        missed = words;
    }

    /**
     * Who waited in vain just before the frame that has come now; told once.
     *
     * @return null when nobody did
     */
    String takeMissed() {
        String words = missed;
        missed = null;
        return words;
    }

    /** Keeps a frame that came too late for its reader, for the next one. */
    void keep(Frame frame) {
        kept = frame;
    }

    /** Whether a frame is kept. */
    boolean hasKept() {
        return kept != null;
    }

    /**
     * The frame that is kept, which it is no longer then.
     *
     * @return null when none is
     */
    Frame takeKept() {
        Frame frame = kept;
        kept = null;
        return frame;
    }

    /** Ends TCP now, without a close frame. */
    void drop() {
        dropped = true;
        socket.abort();
    }
}
