package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.CloseCause;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Scope;
import io.github.jmeterwebrtc.Socket;
import io.github.jmeterwebrtc.jmeter.plan.OwnSocket;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.EngineSampler;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.filter.FilterChain;
import io.github.jmeterwebrtc.jmeter.websocket.filter.FrameFilter;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.protocol.http.control.CookieManager;
import org.apache.jmeter.protocol.http.control.DNSCacheManager;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.threads.JMeterVariables;

/**
 * What the WebSocket samplers share: how a connection is found or opened, how frames are read, what failures are called.
 *
 * <p>Property names, codes and messages are those that existing WebSocket plans and their assertions rely on; they never
 * change. A connection belongs to the JMeter thread (or to the test, see {@link OpenConnectionSampler#SCOPE}) under its
 * {@link #CONNECTION_ID} and stays open across iterations; pings are answered while no sampler runs.
 */
public abstract class WebSocketSampler extends EngineSampler implements OwnSocket {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /** {@code true} = {@code wss} (boolProp, default false). */
    public static final String TLS = "TLS";
    /** Host name or IP address (default empty). */
    public static final String SERVER = "server";
    /** Port 1–65535 (default 80 when the property is absent). */
    public static final String PORT = "port";
    /** Path with query (default empty; a missing leading slash is added). */
    public static final String PATH = "path";
    /** TCP connect timeout, ms, 1–999999 (default 20000). */
    public static final String CONNECT_TIMEOUT = "connectTimeout";
    /** Timeout of the upgrade response and of reading, ms, 0–9999999, 0 = none (default 6000). */
    public static final String READ_TIMEOUT = "readTimeout";
    /** {@code true} = open a new connection (boolProp). */
    public static final String CREATE_NEW_CONNECTION = "createNewConnection";
    /** Name of the connection within its thread or test (default empty, which is a name too). */
    public static final String CONNECTION_ID = "connectionId";
    /** {@code false} = trust every TLS certificate (boolProp, default true). */
    public static final String VERIFY_CERTIFICATE = "verifyCertificate";
    /** Interval of keep-alive pings, seconds (default empty = none). */
    public static final String PING_INTERVAL = "pingInterval";
    /** Text message that is sent as keep-alive instead of a ping frame (default empty = ping frame). */
    public static final String PING_TEXT = "pingText";

    /** Response code of a sample whose element is badly configured, or that has no connection to use. */
    static final String SAMPLER_ERROR = "Sampler error";
    /** Response code of a failed connection, sic. */
    static final String IO_ERROR = "Websocket I/O error";
    /** JMeter variable: whether the last data frame read was a final one. */
    static final String LAST_FRAME_FINAL = "websocket.last_frame_final";

    private static final String DEFAULT_PORT = "80";
    private static final String DEFAULT_CONNECT_TIMEOUT = "20000";
    /** {@link #READ_TIMEOUT} where the property is absent. */
    protected static final String DEFAULT_READ_TIMEOUT = "6000";
    private static final long MAX_READ_TIMEOUT_MS = 9_999_999;
    private static final String[] MERGED_CONFIGS = {
        "org.apache.jmeter.config.gui.SimpleConfigGui",
        "org.apache.jmeter.protocol.http.gui.HeaderPanel",
        "org.apache.jmeter.protocol.http.gui.CookiePanel",
    };

    private transient Surroundings surroundings;

    @Override
    public boolean hasAutoIceByDefault() {
        return false;
    }

    // ---- Finding, opening -------------------------------------------------------------------------------------------

    /**
     * The connection to use: a new one where the plan wants it, the existing one otherwise.
     *
     * @return null when there is none; then the result says so
     */
    final Connection connection(
            ThreadScope thread, BoundedWait bounded, ResultBuilder result, boolean createNew, String requestData)
            throws InvalidElementException, EngineException, TimeoutException {
        if (createNew) {
            ConnectionRequest request = ConnectionRequest.of(this);
            result.request(connectText(request.url(), false, requestData));
            return open(request, thread.scope(), thread, bounded, result);
        }
        Connection existing = existing(thread, result, "Sampler configured for using existing connection, but there is no connection");
        if (existing != null) {
            result.request(connectText(existing.url(), true, requestData));
            result.url(existing.url());
        }
        return existing;
    }

    final Connection open(ConnectionRequest request, Scope owner, ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws EngineException, TimeoutException {
        result.requestHeaders(request.headerLines());
        return request.open(connectionName(), owner, thread, bounded, result);
    }

    /**
     * The connection of this name that the thread, or the test, has open.
     *
     * @param absent what to say when there is none; the reason why a former one ended is added
     * @return null when there is none; then the result says so
     */
    final Connection existing(ThreadScope thread, ResultBuilder result, String absent) {
        Connection connection = thread.connection(connectionName());
        if (connection == null) {
            result.failure(SAMPLER_ERROR, absent);
            return null;
        }
        Socket socket = connection.socket();
        CloseCause cause = socket.closeCause();
        boolean unread = cause != null && readsFrames() && socket.counters().path("queued").asLong() > 0;
        if (cause != null && !unread) {
            result.failure(SAMPLER_ERROR, absent + ": " + cause.describe());
            result.evidence("WebSocket closed", cause.kind(), cause.json());
            return null;
        }
        return connection;
    }

    /** Whether frames that arrived before the connection ended are still of use to this sampler. */
    boolean readsFrames() {
        return true;
    }

    final String connectionName() {
        return ThreadScope.connectionName(getConnectionId());
    }

    static String connectText(String url, boolean existing, String requestData) {
        return "Connect URL:\n" + url + "\n"
                + (existing ? "(using existing connection)\n" : "")
                + (requestData == null ? "" : "\nRequest data:\n" + requestData + "\n");
    }

    // ---- Reading ----------------------------------------------------------------------------------------------------

    /**
     * Reads the next data (or close) frame that no frame filter in scope discards; pings and pongs, which the engine has
     * answered, are passed over.
     *
     * @param timeoutMs total budget; 0 = none
     */
    final Frame readFrame(Connection connection, BoundedWait bounded, long timeoutMs, ResultBuilder result)
            throws EngineException, TimeoutException {
        long budgetMs = bounded.clip(timeoutMs);
        long start = System.nanoTime();
        FilterChain filters = new FilterChain(surroundings().filtersFromOutside());
        while (true) {
            long leftMs = budgetMs - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            Frame frame = connection.socket().receive(bounded.operation(), Math.max(leftMs, 1));
            boolean control = frame.opcode() == Opcode.PING || frame.opcode() == Opcode.PONG;
            Opcode kind = connection.typeOf(frame);
            FilterChain.Match discarding = control ? null : filters.discarding(kind, frame.payload());
            if (!control && discarding == null) {
                result.received(frame);
                return frame;
            }
            result.took(TimeUnit.NANOSECONDS.toMicros(frame.waitedNanos()));
            if (discarding != null) {
                result.discarded(discarding.label(FrameText.typeName(frame)), "Received " + FrameText.describe(frame),
                        frame.headerBytes(), frame.wirePayloadBytes(), 0);
            }
        }
    }

    /** Makes a data frame the response, or fails for a frame of another type than wanted ({@code null} = any data). */
    final void accept(Connection connection, Frame frame, Opcode wanted, ResultBuilder result, boolean newConnection) {
        Opcode type = connection.typeOf(frame);
        boolean data = type == Opcode.TEXT || type == Opcode.BINARY;
        if (!data || wanted != null && type != wanted) {
            result.failure("Sampler error: unexpected frame type (" + FrameText.typeName(frame) + ").",
                    "Received: " + FrameText.describe(frame));
            return;
        }
        JMeterVariables variables = getThreadContext().getVariables();
        if (variables != null) {
            variables.put(LAST_FRAME_FINAL, Boolean.toString(frame.isFinal()));
        }
        result.content(frame, type);
        succeed(result, newConnection);
    }

    static void succeed(ResultBuilder result, boolean newConnection) {
        if (newConnection) {
            result.success("101", "Switching Protocols");
        } else {
            result.success("200", "OK");
        }
    }

    // ---- Failures ---------------------------------------------------------------------------------------------------

    @Override
    protected String invalidCode() {
        return SAMPLER_ERROR;
    }

    @Override
    protected String invalidPrefix() {
        return "Sampler error: ";
    }

    @Override
    protected void failed(ResultBuilder result, EngineException failure) {
        JsonNode details = failure.details();
        result.evidence(failure.getMessage(), failure.code(), details);
        switch (failure.code()) {
            case "UPGRADE_STATUS":
                result.failure(text(details, "status"), failure.getMessage());
                break;
            case "UPGRADE":
                result.failure("", failure.getMessage());
                break;
            default:
                result.failure(IO_ERROR, "WebSocket I/O error: " + ioErrorText(failure, details));
        }
    }

    @Override
    protected void timedOut(ResultBuilder result, TimeoutException timeout) {
        result.failure(IO_ERROR, "WebSocket I/O error: Read timed out");
    }

    /** The words that Java's own sockets use for the same failure, which assertions of existing plans look for. */
    private static String ioErrorText(EngineException failure, JsonNode details) {
        switch (failure.code()) {
            case "DNS":
                String host = text(details, "host");
                return host.isEmpty() ? failure.getMessage() : host;
            case "CONNECT_TIMEOUT":
                return "Connect timed out";
            case "TIMEOUT":
                return "Read timed out";
            case "CONNECT":
                return Errno.words(details.path("errno").asInt(0), failure.getMessage());
            case "CLOSED":
                return closedText(failure, details);
            default:
                return failure.getMessage();
        }
    }

    private static String closedText(EngineException failure, JsonNode details) {
        JsonNode cause = details.has("cause") ? details.path("cause") : details;
        switch (text(cause, "kind")) {
            case "fin":
                return "end of stream";
            case "reset":
                return "Connection reset";
            default:
                return failure.getMessage();
        }
    }

    // ---- JMeter configuration elements ------------------------------------------------------------------------------

    /** Only the elements that mean something to a WebSocket are merged in: defaults, headers, cookies, DNS, frame filters. */
    @Override
    public boolean applies(ConfigTestElement configElement) {
        String gui = configElement.getPropertyAsString(TestElement.GUI_CLASS);
        for (String merged : MERGED_CONFIGS) {
            if (merged.equals(gui)) {
                return true;
            }
        }
        return configElement instanceof HeaderManager || configElement instanceof CookieManager
                || configElement instanceof DNSCacheManager || configElement instanceof FrameFilter;
    }

    @Override
    public void addTestElement(TestElement element) {
        if (!surroundings().take(element)) {
            super.addTestElement(element);
        }
    }

    /** Forgets the elements of the sample before: JMeter merges them anew for every sample. */
    @Override
    public void clearTestElementChildren() {
        surroundings().clear();
    }

    /**
     * The configuration elements in scope.
     *
     * @return those of the sample in progress
     */
    protected final Surroundings surroundings() {
        if (surroundings == null) {
            surroundings = new Surroundings();
        }
        return surroundings;
    }

    /**
     * The Header Manager in scope, inner headers first.
     *
     * @return null when there is none
     */
    public HeaderManager getHeaderManager() {
        return surroundings().headers();
    }

    /**
     * The Cookie Manager in scope.
     *
     * @return null when there is none
     */
    public CookieManager getCookieManager() {
        return surroundings().cookies();
    }

    // ---- Properties -------------------------------------------------------------------------------------------------

    /** @return {@link #TLS} */
    public boolean getTLS() {
        return getPropertyAsBoolean(TLS);
    }

    /** @param tls {@link #TLS} */
    public void setTLS(boolean tls) {
        setProperty(TLS, tls);
    }

    /** @return {@link #SERVER} */
    public String getServer() {
        return getPropertyAsString(SERVER);
    }

    /** @param server {@link #SERVER} */
    public void setServer(String server) {
        setProperty(SERVER, server);
    }

    /** @return {@link #PORT}, trimmed */
    public String getPort() {
        return getPropertyAsString(PORT, DEFAULT_PORT).trim();
    }

    /** @param port {@link #PORT} */
    public void setPort(String port) {
        setProperty(PORT, port);
    }

    /** @return {@link #PATH} */
    public String getPath() {
        return getPropertyAsString(PATH);
    }

    /** @param path {@link #PATH} */
    public void setPath(String path) {
        setProperty(PATH, path);
    }

    /** @return {@link #CONNECT_TIMEOUT}, trimmed */
    public String getConnectTimeout() {
        return getPropertyAsString(CONNECT_TIMEOUT, DEFAULT_CONNECT_TIMEOUT).trim();
    }

    /** @param timeout {@link #CONNECT_TIMEOUT} */
    public void setConnectTimeout(String timeout) {
        setProperty(CONNECT_TIMEOUT, timeout);
    }

    /** @return {@link #READ_TIMEOUT}, trimmed */
    public String getReadTimeout() {
        return getPropertyAsString(READ_TIMEOUT, DEFAULT_READ_TIMEOUT).trim();
    }

    /** @param timeout {@link #READ_TIMEOUT} */
    public void setReadTimeout(String timeout) {
        setProperty(READ_TIMEOUT, timeout);
    }

    /** @return {@link #CREATE_NEW_CONNECTION} */
    public boolean getCreateNewConnection() {
        return getPropertyAsBoolean(CREATE_NEW_CONNECTION);
    }

    /** @param create {@link #CREATE_NEW_CONNECTION} */
    public void setCreateNewConnection(boolean create) {
        setProperty(CREATE_NEW_CONNECTION, create);
    }

    /** @return {@link #CONNECTION_ID}, trimmed */
    public String getConnectionId() {
        return getPropertyAsString(CONNECTION_ID).trim();
    }

    /** @param id {@link #CONNECTION_ID} */
    public void setConnectionId(String id) {
        setProperty(CONNECTION_ID, id);
    }

    /** @return {@link #VERIFY_CERTIFICATE} */
    public boolean getVerifyCertificate() {
        return getPropertyAsBoolean(VERIFY_CERTIFICATE, true);
    }

    /** @param verify {@link #VERIFY_CERTIFICATE} */
    public void setVerifyCertificate(boolean verify) {
        setProperty(VERIFY_CERTIFICATE, verify);
    }

    /** @return {@link #PING_INTERVAL}, trimmed */
    public String getPingInterval() {
        return getPropertyAsString(PING_INTERVAL).trim();
    }

    /** @param seconds {@link #PING_INTERVAL} */
    public void setPingInterval(String seconds) {
        setProperty(PING_INTERVAL, seconds);
    }

    /** @return {@link #PING_TEXT} */
    public String getPingText() {
        return getPropertyAsString(PING_TEXT);
    }

    /** @param text {@link #PING_TEXT} */
    public void setPingText(String text) {
        setProperty(PING_TEXT, text);
    }

    final long readTimeoutMs() throws InvalidElementException {
        return readTimeoutMs(getReadTimeout());
    }

    static long readTimeoutMs(String value) throws InvalidElementException {
        // "should between" is how these messages have always read; assertions match on it.
        return ConnectionRequest.number(value, 0, MAX_READ_TIMEOUT_MS,
                "Read timeout '" + value + "' is not a number.",
                "Read timeout '" + value + "' is not valid; should between 0 and " + MAX_READ_TIMEOUT_MS);
    }
}
