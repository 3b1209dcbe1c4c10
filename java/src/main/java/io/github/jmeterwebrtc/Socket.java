package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * One WebSocket (RFC 6455) that stays alive while nobody reads: pings are answered and sent in the background, frames
 * are kept for later readers in a bounded queue.
 *
 * <p>The socket belongs to its {@link Scope}; this object is a reference to it, and any number of them may exist. All
 * methods may be called from any thread.
 */
public final class Socket implements AutoCloseable {
    private final long handle;
    /** Keeps the scope from being collected, and so from being closed, as long as something of it is in use. */
    private final Scope scope;

    Socket(long handle, Scope scope) {
        this.handle = handle;
        this.scope = scope;
    }

    /**
     * Where it was looked up or opened.
     *
     * @return the scope, which may be a child of the one that owns it
     */
    public Scope scope() {
        return scope;
    }

    long handle() {
        return handle;
    }

    /**
     * How opening went.
     *
     * @return phases and the server's answer
     */
    public Opened opened() {
        return new Opened(Json.parse(Native.socketOpened(handle)));
    }

    /**
     * Sends one frame.
     *
     * @param operation  cancels it; may be null
     * @param opcode     what kind of frame
     * @param fin        the FIN bit: false when more fragments follow
     * @param payload    the payload, unmasked; at most 125 bytes in a control frame
     * @param deadlineMs until the frame is with the kernel
     * @return bytes and time
     * @throws EngineException  code {@code CLOSED}: the socket is closed, and the message says why
     * @throws TimeoutException when the peer did not take the bytes in time
     */
    public Sent send(Operation operation, Opcode opcode, boolean fin, byte[] payload, long deadlineMs)
            throws EngineException, TimeoutException {
        if (payload == null) {
            throw new IllegalArgumentException("payload: 'null' is not usable: an array is needed, it may be empty");
        }
        long[] values = Native.sendFrame(handle, Operation.handle(operation), opcode.wire(), fin, payload, deadlineMs);
        return new Sent(values[0], values[1]);
    }

    /**
     * Sends one final frame and waits for the next one: {@link #send} and {@link #receive} in one call into the engine.
     *
     * @param operation         cancels it; may be null
     * @param opcode            what kind of frame
     * @param payload           the payload, unmasked; at most 125 bytes in a control frame
     * @param sendDeadlineMs    until the frame is with the kernel
     * @param receiveDeadlineMs how long to wait from then on
     * @param sent              told what sending did, also when no frame came then; not told when sending failed
     * @return one frame, which may have been queued before
     * @throws EngineException  as the two
     * @throws TimeoutException as the two; whether the frame was sent is told through {@code sent}
     */
    public Frame exchange(Operation operation, Opcode opcode, byte[] payload, long sendDeadlineMs, long receiveDeadlineMs,
            Consumer<Sent> sent) throws EngineException, TimeoutException {
        if (payload == null) {
            throw new IllegalArgumentException("payload: 'null' is not usable: an array is needed, it may be empty");
        }
        FrameMemory memory = FrameMemory.ofThread();
        memory.clearSent();
        byte[] received;
        try {
            received = Native.exchangeFrames(handle, Operation.handle(operation), opcode.wire(), true, memory.outgoing(payload),
                    payload.length, memory.address(), sendDeadlineMs, receiveDeadlineMs);
        } catch (EngineException | TimeoutException | RuntimeException e) {
            Sent before = memory.sent();
            if (before != null) {
                sent.accept(before);
            }
            throw e;
        }
        Frame frame = memory.received(received);
        sent.accept(memory.sent());
        return frame;
    }

    /**
     * The next frame, data or control, in the order of the wire.
     *
     * @param operation  cancels it; may be null
     * @param deadlineMs how long to wait; 0 takes only what is queued
     * @return one frame
     * @throws EngineException  code {@code CLOSED}: the queue is empty and the socket is closed, and the message says why
     * @throws TimeoutException when no frame came in time; nothing is lost
     */
    public Frame receive(Operation operation, long deadlineMs) throws EngineException, TimeoutException {
        FrameMemory memory = FrameMemory.ofThread();
        return memory.received(Native.receiveFrame(handle, Operation.handle(operation), memory.address(), deadlineMs));
    }

    /**
     * The first queued or arriving frame that matches; the others stay queued, in their order.
     *
     * @param operation   cancels it; may be null
     * @param matcherJson any of {@code {"text":"contained"}}, {@code {"regex":"found"}},
     *                    {@code {"jsonPath":"$.a[0].b","value":"equals"}} ({@code value} is optional) and
     *                    {@code {"opcode":"text|binary|ping|pong|close|continuation"}}; all that are given must hold
     * @param deadlineMs  how long to wait; 0 looks only at what is queued
     * @return one frame
     * @throws EngineException  code {@code CLOSED}: nothing queued matches and the socket is closed
     * @throws TimeoutException when no frame matched in time; nothing is lost
     */
    public Frame receiveMatching(Operation operation, String matcherJson, long deadlineMs)
            throws EngineException, TimeoutException {
        FrameMemory memory = FrameMemory.ofThread();
        return memory.received(Native.receiveMatching(handle, Operation.handle(operation), Json.utf8("matcher", matcherJson),
                memory.address(), deadlineMs));
    }

    /**
     * Makes this socket reachable for calls under a name, with the lab's plain JSON signaling.
     *
     * @param operation  cancels it; may be null
     * @param name       whom others call
     * @param deadlineMs for the server's answer
     * @return {@code {"name":…,"elapsedUs":…}}
     * @throws EngineException  code {@code SIGNALING_REFUSED} (the details carry the server's code, such as
     *                          {@code NAME_IN_USE}) or how it closed ({@code CLOSED_BY_FIN}…)
     * @throws TimeoutException when no answer came in time
     */
    public JsonNode register(Operation operation, String name, long deadlineMs)
            throws EngineException, TimeoutException {
        return Json.parse(Native.register(handle, Operation.handle(operation), Json.utf8("name", name), deadlineMs));
    }

    /**
     * Closing handshake (RFC 6455 section 7). The socket keeps its name and queued frames until {@link #close()} or
     * {@link Scope#releaseSocket}.
     *
     * @param operation  cancels the wait; may be null
     * @param status     status code to send, 0 to 65535, also one that RFC 6455 reserves
     * @param reason     reason text to send, at most 123 bytes of UTF-8
     * @param deadlineMs for the peer's close frame; then TCP is dropped
     * @return how the socket ended, which may be an earlier end
     */
    public CloseCause closeWith(Operation operation, int status, String reason, long deadlineMs) {
        return new CloseCause(Json.parse(Native.closeSocketWith(handle, Operation.handle(operation), status,
                Json.utf8("reason", reason), deadlineMs)));
    }

    /** Drops the TCP connection at once. The socket keeps its name. */
    public void abort() {
        Native.abortSocket(handle);
    }

    /**
     * How the socket ended.
     *
     * @return null while it is open
     */
    public CloseCause closeCause() {
        byte[] cause = Native.closeCause(handle);
        return cause == null ? null : new CloseCause(Json.parse(cause));
    }

    /**
     * Whether frames can be sent.
     *
     * @return false also for a socket that was forgotten
     */
    public boolean isOpen() {
        return Native.isSocketOpen(handle);
    }

    /**
     * What has passed: {@code framesSent}, {@code framesReceived}, {@code bytesSent}, {@code bytesReceived},
     * {@code pingsSent}, {@code pingsReceived}, {@code pongsSent}, {@code pongsReceived}, {@code overflowed},
     * {@code queued}.
     *
     * @return a JSON object
     */
    public JsonNode counters() {
        return Json.parse(Native.socketCounters(handle));
    }

    /** Closes with status 1000, bounded by 500 ms, and forgets the socket. Idempotent. */
    @Override
    public void close() {
        Native.closeSocket(handle);
    }
}
