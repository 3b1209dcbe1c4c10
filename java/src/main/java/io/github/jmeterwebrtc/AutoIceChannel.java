package io.github.jmeterwebrtc;

import java.util.concurrent.TimeoutException;

/**
 * Auto ICE for the messages of one other side, which some sampler sends and receives: session descriptions and candidates
 * of outgoing messages are replaced by live ones, those of incoming messages are read.
 *
 * <p>It belongs to its {@link Scope}; this object is a reference to it. All methods may be called from any thread.
 */
public final class AutoIceChannel {
    private final long handle;
    /** Keeps the scope from being collected, and so from being closed, as long as something of it is in use. */
    private final Scope scope;

    AutoIceChannel(long handle, Scope scope) {
        this.handle = handle;
        this.scope = scope;
    }

    /**
     * Where it was asked for.
     *
     * @return the scope that owns it
     */
    public Scope scope() {
        return scope;
    }

    /**
     * What is to go out instead of a message. A message in which nothing is found costs a search over its bytes. An offer
     * waits for gathering at most {@code gatherWaitMs}; an answer to an offer that was not read yet waits for it at most
     * {@code answerWaitMs} and is then left as it is. What goes wrong leaves the message as it is, and is told by
     * {@link Scope#takeAutoIce()}. The call's time counts from this call's return.
     *
     * @param operation  cancels it; may be null
     * @param message    the whole message
     * @param deadlineMs how long all of it may take; what is not ready by then leaves the message as it is
     * @return null when the message is to go out as it is
     * @throws TimeoutException never at present
     */
    public byte[] outgoing(Operation operation, byte[] message, long deadlineMs) throws TimeoutException {
        return outgoing(operation, message, null, deadlineMs);
    }

    /**
     * As {@link #outgoing(Operation, byte[], long)}, with what stands beside the message: header lines may say that it is
     * signed, and is then left as it is.
     *
     * @param operation   cancels it; may be null
     * @param message     the whole message
     * @param contextJson {@code {"headers":"Name: value\r\n…"}}; may be null
     * @param deadlineMs  how long all of it may take; what is not ready by then leaves the message as it is
     * @return null when the message is to go out as it is
     * @throws TimeoutException never at present
     */
    public byte[] outgoing(Operation operation, byte[] message, String contextJson, long deadlineMs)
            throws TimeoutException {
        return Native.autoIceOutgoing(handle, Operation.handle(operation), needed(message), context(contextJson), deadlineMs);
    }

    /**
     * Reads an incoming message. Returns at once; applying what was found goes on in the background. The same message again
     * changes nothing.
     *
     * @param message     the whole message
     * @param contextJson what stands beside it: {@code {"headers":"Name: value\r\n…"}}, header lines that are read, too
     *                    (WHIP names ICE servers there); may be null
     */
    public void incoming(byte[] message, String contextJson) {
        Native.autoIceIncoming(handle, needed(message), context(contextJson));
    }

    private static byte[] context(String json) {
        return json == null ? null : Json.utf8("context", json);
    }

    private static byte[] needed(byte[] message) {
        if (message == null) {
            throw new IllegalArgumentException("message: 'null' is not usable: an array is needed, it may be empty");
        }
        return message;
    }
}
