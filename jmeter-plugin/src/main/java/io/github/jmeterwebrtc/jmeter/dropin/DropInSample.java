package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Opened;
import io.github.jmeterwebrtc.Sent;
import io.github.jmeterwebrtc.Socket;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIceSettings;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.ProxySettings;
import io.github.jmeterwebrtc.jmeter.websocket.RequestPayload;
import io.github.jmeterwebrtc.jmeter.websocket.RequestSampler;
import io.github.jmeterwebrtc.jmeter.websocket.Surroundings;
import io.github.jmeterwebrtc.jmeter.websocket.WebSocketSampler;
import io.github.jmeterwebrtc.jmeter.websocket.filter.FilterChain;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.protocol.http.control.CookieManager;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.threads.JMeterVariables;

/**
 * One sample of a drop-in element: check, find or open the connection, exchange frames, say what happened.
 *
 * <p>Every way out fills the result, in the words and sizes of existing plans. What the engine or the JVM throws for a
 * cancelled wait passes through. Used once, by one thread.
 */
final class DropInSample {
    /** Response code of a sample that is not as the plan wants it. */
    static final String SAMPLER_ERROR = "Sampler error";

    /** Name of the line in the response headers of a sample that got a reply which came too late for another one. */
    static final String LATE_REPLY = "webrtc-late-reply";

    private static final int CONTROL_FRAME_BYTES = 6;
    private static final FilterChain NO_FILTERS = new FilterChain(Collections.emptyList());

    private final WebSocketSampler sampler;
    private final Surroundings around;
    private final ThreadScope thread;
    private final BoundedWait bounded;
    private final ResultBuilder result;
    private final DropInTest test;
    private final JMeterVariables variables;
    private final DropInTest.Connections connections;
    private final String id;

    private DropInConnection connection;
    private boolean opened;
    private long headerBytes;
    private long bodyBytes;
    private long sentBytes;
    private long spentUs;
    private long firstByteUs;
    private boolean writing;
    private String responseHeaders = "";

    DropInSample(WebSocketSampler sampler, Surroundings around, ThreadScope thread, BoundedWait bounded,
            ResultBuilder result) {
        this.sampler = sampler;
        this.around = around;
        this.thread = thread;
        this.bounded = bounded;
        this.result = result;
        variables = thread.context().getVariables();
        connections = DropInTest.connections(thread, variables);
        test = connections.test();
        id = sampler.getConnectionId();
    }

    /** What a sampler checks before, and does with, its connection. */
    interface Steps {
        /**
         * Checks properties before anything is timed.
         *
         * @return where to connect to; null = the existing connection is used
         */
        Address check() throws InvalidElementException;

        /** The words for a missing connection. */
        default String absent() {
            return "Sampler configured for using existing connection, but there is no connection";
        }

        /** The response code for a missing connection. */
        default String absentCode() {
            return SAMPLER_ERROR;
        }

        /** Whether what it reads is a message, which may come too late for it. */
        default boolean awaitsMessage() {
            return false;
        }

        /** Sends and receives. */
        void exchange(DropInSample sample)
                throws InvalidElementException, IOException, EngineException, TimeoutException;
    }

    /** Runs the steps and fills the result. */
    void run(Steps steps) {
        Address address;
        try {
            address = steps.check();
        } catch (InvalidElementException e) {
            result.untimed();
            result.failure(SAMPLER_ERROR, "Sampler error: " + e.getMessage());
            return;
        } catch (UnusableElementException e) {
            if (sampler.getCreateNewConnection()) {
                dropForNothing();
            }
            throw e;
        }
        if (address == null) {
            if (!findExisting(steps)) {
                return;
            }
            address = connection.comebackAddress();
        }
        try {
            if (address != null) {
                open(address);
            }
            steps.exchange(this);
        } catch (InvalidElementException e) {
            result.failure(e.code(), e.getMessage());
        } catch (TimeoutException e) {
            result.onJavaClock();
            if (isEnded()) {
                throw new CancellationException(bounded.endedBy());
            }
            if (connection != null && steps.awaitsMessage()) {
                connection.missed("'" + sampler.getName() + "' timed out after " + sampler.getReadTimeout() + " ms");
            }
            result.failure(FailureWords.IO_ERROR, FailureWords.io("Read timed out"));
        } catch (EngineException e) {
            result.onJavaClock();
            words().use(e, writing, connection, result);
        } catch (OpenFailedException e) {
            connection = null;
        } catch (UnusableElementException e) {
            dropForNothing();
            throw e;
        } catch (IOException e) {
            result.onJavaClock();
            result.failure(FailureWords.IO_ERROR, FailureWords.io(e.getMessage()));
        } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
            // A property that is no value of its kind, found when it is used.
            result.onJavaClock();
            result.failure(SAMPLER_ERROR, "Sampler error: " + e);
        } catch (UnsupportedOperationException e) {
            result.onJavaClock();
            result.failure(SAMPLER_ERROR, "Sampler error: java.lang.RuntimeException: " + e.getMessage());
        } finally {
            result.bytes(headerBytes, bodyBytes, sentBytes);
            // One that was opened by the same sample stays in its place, and the next sampler is told of its state.
            if (connection != null && !connection.isConnected() && !opened) {
                connections.ended(id, connection);
            }
        }
    }

    /** Ends the connection whose place a new one was to take that could not even be tried; it keeps its place. */
    private void dropForNothing() {
        DropInConnection old = connections.get(id);
        if (old != null) {
            old.drop();
        }
    }

    // ---- Connection -------------------------------------------------------------------------------------------------

    private boolean findExisting(Steps steps) {
        connection = connections.get(id);
        if (connection == null && test.behaviour().sharesWithChildren()) {
            // One that an element of ours has opened, for this thread or for the test.
            Socket other = thread.scope().socket(ThreadScope.connectionName(id));
            if (other != null && other.isOpen()) {
                connection = new DropInConnection(other, "ws://" + other.opened().peer() + "/");
            }
        }
        if (connection != null && (connection.isConnected() || connection.comebackAddress() != null)) {
            return true;
        }
        result.untimed();
        if (connection != null) {
            result.request("Connect URL:\n" + connection.url() + "\n");
            result.requestHeaders(UpgradeHeaders.of(around.headers(), around.cookies(), connection.cookieUrl()).lines());
            result.failure(SAMPLER_ERROR, "Sampler error: java.lang.IllegalStateException: Cannot connect when state is "
                    + connection.closedState());
            connections.ended(id, connection);
            return false;
        }
        String why = test.behaviour().noticesEnd() ? connections.lastEnd(id) : null;
        result.failure(steps.absentCode(), why == null ? steps.absent() : steps.absent() + ": " + why);
        return false;
    }

    private void open(Address address) throws InvalidElementException, TimeoutException, OpenFailedException {
        test.announceOddPort(sampler.getName(), address);
        result.request("Connect URL:\n" + address.shown() + "\n");
        UpgradeHeaders headers = UpgradeHeaders.of(around.headers(), around.cookies(), address.url());
        result.requestHeaders(headers.lines());
        AutoIceSettings autoIce = AutoIceSettings.ofSocket(Behaviour.hasAutoIceByDefault(), sampler.getThreadContext());
        connections.remove(id);
        String name = ThreadScope.connectionName(id);
        thread.keptScope().releaseSocket(name);
        long started = System.nanoTime();
        try {
            boolean verify = sampler.getPropertyAsBoolean(
                    WebSocketSampler.VERIFY_CERTIFICATE, test.behaviour().verifiesCertificates());
            String config = Dialing.config(address, headers, around, test, verify, autoIce);
            long resolvedUs = TimeUnit.NANOSECONDS.toMicros(System.nanoTime() - started);
            Socket socket = thread.keptScope()
                    .openSocket(bounded.operation(), name, config, bounded.clip(BoundedWait.FOREVER_MS));
            connection = new DropInConnection(socket, address);
            connections.put(id, connection);
            if (autoIce != null) {
                thread.watchAutoIce(thread.keptScope());
            }
            welcome(socket.opened(), resolvedUs, address);
        } catch (EngineException e) {
            result.onJavaClock();
            words().open(e, ProxySettings.forServer(address.host()) != null, result);
            throw new OpenFailedException();
        } catch (IOException e) {
            result.onJavaClock();
            result.failure(FailureWords.IO_ERROR, FailureWords.io(e.getMessage()));
            throw new OpenFailedException();
        }
    }

    private void welcome(Opened how, long resolvedUs, Address address) {
        opened = true;
        Behaviour behaviour = test.behaviour();
        result.opened(how);
        result.took(resolvedUs);
        long connectUs = how.totalUs() + resolvedUs;
        result.milestones(connectUs, behaviour.setsLatency() ? how.totalUs() - how.upgradeUs() + how.firstByteUs() : 0);
        spentUs = connectUs;
        headerBytes = how.responseBytes();
        sentBytes = how.requestBytes();
        Map<String, String> sorted = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        for (Map.Entry<String, String> header : how.headers()) {
            sorted.merge(header.getKey(), header.getValue(), (one, other) -> one + ", " + other);
        }
        List<String> lines = new ArrayList<>(sorted.size());
        sorted.forEach((name, value) -> lines.add(name + ": " + value));
        responseHeaders = String.join("\n", lines);
        result.responseHeaders("");
        CookieManager cookies = around.cookies();
        if (behaviour.storesCookies() && cookies != null) {
            for (Map.Entry<String, String> header : how.headers()) {
                if (header.getKey().equalsIgnoreCase("Set-Cookie")) {
                    cookies.addCookieFromHeader(header.getValue(), address.url());
                }
            }
        }
    }

    /** The request data of a sampler; the sampler data show them, or that there are none. */
    RequestPayload describe(RequestSampler asking) throws InvalidElementException, IOException {
        String shown = null;
        try {
            RequestPayload data = RequestPayload.of(asking);
            shown = data.shown();
            return data;
        } finally {
            describeRequest(shown);
        }
    }

    /** The sampler data of what is sent over the connection; null = nothing is. */
    void describeRequest(String requestData) {
        String begin = opened ? "Connect URL:\n" + connection.url() + "\n" : connection.existing();
        result.request(requestData == null ? begin : begin + "\nRequest data:\n" + requestData + "\n");
    }

    // ---- Frames -----------------------------------------------------------------------------------------------------

    /** Sends a frame; the size of the upgrade request gives way to that of the frame. */
    void send(Opcode opcode, byte[] payload) throws EngineException, TimeoutException {
        writing = true;
        sent(connection.socket().send(bounded.operation(), opcode, true, payload, BoundedWait.FOREVER_MS));
    }

    /** Sends a close frame, unless that of the server has come and was answered: then there is nothing left to send. */
    void sendClose(int status, String reason) throws EngineException, TimeoutException {
        writing = true;
        try {
            Sent sent = CloseFrame.send(connection, bounded.operation(), status, reason, BoundedWait.FOREVER_MS);
            spend(sent.nanos());
            sentBytes = sent.bytes();
        } catch (EngineException e) {
            CloseCause cause = connection.socket().closeCause();
            if (cause == null || !"closeFrame".equals(cause.kind()) || !test.behaviour().echoesClose()) {
                throw e;
            }
            sentBytes = CONTROL_FRAME_BYTES + (cause.code() == null ? 0 : 2);
            connection.closeSent();
        }
        writing = false;
    }

    /** Sends a frame and reads the next that no filter discards. */
    Received ask(Opcode opcode, byte[] payload, int timeoutMs) throws EngineException, TimeoutException {
        if (!around.filtersFromOutside().isEmpty() || connection.hasKept()) {
            send(opcode, payload);
            return read(timeoutMs);
        }
        long waitMs = waitMs(timeoutMs);
        writing = true;
        Frame frame = connection.socket().exchange(bounded.operation(), opcode, payload, BoundedWait.FOREVER_MS,
                bounded.clip(waitMs), this::sent);
        awaited(frame);
        Received received = taken(frame, NO_FILTERS);
        if (received == null) {
            return read(NO_FILTERS, TimeUnit.MILLISECONDS.toNanos(waitMs) - frame.waitedNanos(), timeoutMs);
        }
        markIfLate(received.kind());
        return received;
    }

    private void sent(Sent sent) {
        writing = false;
        spend(sent.nanos());
        sentBytes = sent.bytes();
    }

    /**
     * The next frame that no filter discards.
     *
     * <p>Each read of the connection has the timeout, so that a frame may take longer when its pieces come in time. Where there are
     * filters all the frames together have it, and whether they kept it is seen when each of them is whole.
     */
    Received read(int timeoutMs) throws EngineException, TimeoutException {
        FilterChain filters = new FilterChain(around.filtersFromOutside());
        return read(filters, TimeUnit.MILLISECONDS.toNanos(waitMs(timeoutMs)), timeoutMs);
    }

    private static long waitMs(int timeoutMs) {
        return timeoutMs == 0 ? BoundedWait.FOREVER_MS : timeoutMs;
    }

    private Received read(FilterChain filters, long leftNanos, int timeoutMs) throws EngineException, TimeoutException {
        long end = System.nanoTime() + leftNanos;
        while (true) {
            long leftMs = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime() + 999_999);
            if (leftMs <= 0) {
                throw late(timeoutMs);
            }
            Frame frame = connection.takeKept();
            firstByteUs = spentUs;
            if (frame == null) {
                frame = connection.socket().receive(bounded.operation(), bounded.clip(leftMs));
                awaited(frame);
            }
            Received received = taken(frame, filters);
            if (received == null) {
                continue;
            }
            if (!filters.isEmpty() && System.nanoTime() - frame.ageNanos() - end > 0) {
                if (test.behaviour().marksLateReplies()) {
                    connection.keep(frame);
                }
                throw late(timeoutMs);
            }
            markIfLate(received.kind());
            return received;
        }
    }

    private static TimeoutException late(int timeoutMs) {
        return new TimeoutException("the read timeout of " + timeoutMs + " ms has passed");
    }

    /** Takes a frame; null when it is not for the sampler. */
    private Received taken(Frame frame, FilterChain filters) throws EngineException, TimeoutException {
        Received received = new Received(frame, connection.kindOf(frame));
        FilterChain.Match discarding = filters.discarding(received.kind(), received.payload());
        if (discarding != null) {
            discard(received, discarding);
            return null;
        }
        if (received.kind() == Opcode.PING && test.behaviour().answersPings()) {
            return null;
        }
        return received;
    }

    /** Says beside an unchanged row that its frame may be the reply another sampler waited for. */
    private void markIfLate(Opcode kind) {
        if (kind != Opcode.TEXT && kind != Opcode.BINARY) {
            return;
        }
        String missed = connection.takeMissed();
        if (missed != null && test.behaviour().marksLateReplies()) {
            String mark = LATE_REPLY + ": the first frame since " + missed;
            responseHeaders += responseHeaders.isEmpty() ? mark : "\n" + mark;
            result.responseHeaders(mark);
            test.announceLateReply(sampler.getName(), mark);
        }
    }

    private void discard(Received received, FilterChain.Match filter) throws EngineException, TimeoutException {
        long replyBytes = 0;
        if (filter.replies() && received.kind() == Opcode.PING) {
            if (test.behaviour().answersPings()) {
                // The engine has answered it when it came.
                replyBytes = CONTROL_FRAME_BYTES + received.payload().length;
            } else {
                writing = true;
                replyBytes = connection.socket().send(bounded.operation(), Opcode.PONG, true, received.payload(),
                        BoundedWait.FOREVER_MS).bytes();
                writing = false;
            }
        }
        result.discarded(filter.label(received.type()), "Received " + received.words(), received.headerBytes(),
                received.bodyBytes(), replyBytes);
        if (test.behaviour().countsDiscarded()) {
            headerBytes += received.headerBytes();
            bodyBytes += received.bodyBytes();
        }
    }

    /** Adds the size of a frame that is the response. */
    void count(Received received) {
        headerBytes += received.headerBytes();
        bodyBytes += received.bodyBytes();
        showLatency();
    }

    /** The first byte of the frame that came last is that of the response. */
    private void showLatency() {
        if (test.behaviour().setsLatency()) {
            result.latency(firstByteUs);
        }
    }

    /** Makes a data frame the response if it is of the wanted kind (null = any data), and succeeds. */
    void accept(Received received, Opcode wanted) {
        Opcode kind = received.kind();
        boolean data = kind == Opcode.TEXT || kind == Opcode.BINARY;
        if (!data || wanted != null && kind != wanted) {
            unexpected(received);
            return;
        }
        count(received);
        if (kind == Opcode.TEXT) {
            result.text(received.payload());
        } else {
            result.content(received.payload(), SampleResult.BINARY);
        }
        variables.put("websocket.last_frame_final", Boolean.toString(received.isFinal()));
        succeed();
    }

    void unexpected(Received received) {
        showLatency();
        result.failure("Sampler error: unexpected frame type (" + received.type() + ").", "Received: " + received.words());
    }

    /** Those of the upgrade where this sample has opened the connection. */
    void showResponseHeaders() {
        result.responseHeaders(responseHeaders);
    }

    void succeed() {
        showResponseHeaders();
        if (opened) {
            result.success("101", "Switching Protocols");
        } else {
            result.success("200", "OK");
        }
    }

    /** Whether the wait was ended from outside. */
    boolean isEnded() {
        return bounded.endedBy() != null;
    }

    ResultBuilder result() {
        return result;
    }

    /** Adds the wait for a frame, whose first byte may have come before its last. */
    private void awaited(Frame frame) {
        spend(frame.waitedNanos());
        firstByteUs = spentUs - Math.min(TimeUnit.NANOSECONDS.toMicros(frame.waitedNanos()), frame.arrivingMicros());
    }

    private void spend(long nanos) {
        long us = TimeUnit.NANOSECONDS.toMicros(nanos);
        spentUs += us;
        result.took(us);
    }

    private FailureWords words() {
        return new FailureWords(test.behaviour());
    }
}
