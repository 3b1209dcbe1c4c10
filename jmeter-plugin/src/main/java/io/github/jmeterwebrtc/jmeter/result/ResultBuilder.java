package io.github.jmeterwebrtc.jmeter.result;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.github.jmeterwebrtc.Frame;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Opened;
import io.github.jmeterwebrtc.Sent;
import java.net.MalformedURLException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.util.JMeterUtils;

/**
 * Builds every {@link SampleResult} of this plugin, so that one place keeps the results contract.
 *
 * <p>Times: what the engine measured at the wire is added up by {@link #took}, {@link #opened}, {@link #sent} and
 * {@link #received}; only when nothing was measured (a failure before or without a wire event) does the time between
 * construction and {@link #build()} on the Java clock stand in. A result that says neither {@link #success} nor
 * {@link #failure} is a failure, as in JMeter itself.
 *
 * <p>Holds plain values only: dropping it unbuilt costs nothing.
 */
public final class ResultBuilder {
    /** Response data of an outcome are cut at this many characters: 200 talking softphones must not fill the heap. */
    static final int MAX_JSON_CHARS = 32 * 1024;

    private static final long MICROS_PER_MILLI = 1000;
    private static final byte[] NO_DATA = new byte[0];

    private final String label;
    private final long startedMillis = System.currentTimeMillis();
    private final long startedNanos = System.nanoTime();
    /** Made when there is something to put in: most samples have neither phases nor sub-results. */
    private Map<String, Long> phases = Collections.emptyMap();
    private List<SampleResult> subResults = Collections.emptyList();
    private List<SampleResult> discarded = Collections.emptyList();

    private boolean measured;
    private long elapsedUs;
    private long connectUs;
    private long latencyUs;
    private String samplerData = "";
    private String requestHeaders = "";
    private String responseHeaders = "";
    private URL url;
    private byte[] data = NO_DATA;
    private String dataType = "";
    private long headersBytes;
    private long bodyBytes;
    private long sentBytes;
    private boolean successful;
    private String code = "";
    private String message = "";
    private String cause = "";
    private String confidence = "";
    private String evidenceLine = "";
    private boolean starved;
    private long gateWaitUs = -1;
    private Long happenedAtMillis;

    /**
     * Starts a sample now.
     *
     * @param label the sample label, as JMeter shows it
     */
    public ResultBuilder(String label) {
        this.label = label;
    }

    /**
     * Sets the request as "Sampler data" ({@link SampleResult#setSamplerData}).
     *
     * @param text what was asked for, readable
     */
    public void request(String text) {
        samplerData = text;
    }

    /**
     * Sets the request headers.
     *
     * @param lines one header per line
     */
    public void requestHeaders(String lines) {
        requestHeaders = lines;
    }

    /**
     * Sets the URL. Schemes {@code ws} and {@code wss} are written as {@code http} and {@code https}: a {@link URL} with
     * another scheme cannot be sent from a remote worker to the controller.
     *
     * @param webSocketUrl the {@code ws} or {@code wss} URL
     */
    public void url(String webSocketUrl) {
        try {
            url = new URL(webSocketUrl.replaceFirst("^ws", "http"));
        } catch (MalformedURLException e) {
            // The engine refuses such a URL with a sentence of its own; here it is only left out.
            url = null;
        }
    }

    /**
     * Adds a new connection: connect time, response headers, sizes.
     *
     * @param opened what the engine says about opening
     */
    public void opened(Opened opened) {
        waitedAtGate(opened.gateWaitUs());
        took(opened.totalUs());
        connectUs = opened.totalUs();
        latencyUs = opened.totalUs() - opened.upgradeUs() + opened.firstByteUs();
        sentBytes += opened.requestBytes();
        headersBytes += opened.responseBytes();
        StringBuilder lines = new StringBuilder(opened.statusLine()).append('\n');
        for (Map.Entry<String, String> header : opened.headers()) {
            lines.append(header.getKey()).append(": ").append(header.getValue()).append('\n');
        }
        responseHeaders = lines.toString();
        if (opened.dnsUs() >= 0) {
            phase(Columns.DNS_MS, opened.dnsUs());
        }
        phase(Columns.TCP_MS, opened.tcpUs());
        if (opened.tlsUs() >= 0) {
            phase(Columns.TLS_MS, opened.tlsUs());
        }
        phase(Columns.UPGRADE_MS, opened.upgradeUs());
    }

    /**
     * Adds a sent frame. The bytes of the upgrade request are not part of the sample once a frame was sent.
     *
     * @param sent what the engine says about sending
     */
    public void sent(Sent sent) {
        took(TimeUnit.NANOSECONDS.toMicros(sent.nanos()));
        sentBytes = sent.bytes();
    }

    /**
     * Adds the wait for a frame and its bytes, not its content.
     *
     * @param frame the frame
     */
    public void received(Frame frame) {
        took(TimeUnit.NANOSECONDS.toMicros(frame.waitedNanos()));
        headersBytes += frame.headerBytes();
        bodyBytes += frame.payload().length;
    }

    /**
     * Sets the sizes, for samples that count them by rules of their own.
     *
     * @param headers bytes received in headers
     * @param body bytes received in payloads
     * @param sent bytes sent
     */
    public void bytes(long headers, long body, long sent) {
        headersBytes = headers;
        bodyBytes = body;
        sentBytes = sent;
    }

    /**
     * Sets the response headers.
     *
     * @param lines one header per line
     */
    public void responseHeaders(String lines) {
        responseHeaders = lines;
    }

    /**
     * Sets the response data.
     *
     * @param bytes the data
     * @param type {@link SampleResult#TEXT} or {@link SampleResult#BINARY}
     */
    public void content(byte[] bytes, String type) {
        data = bytes;
        dataType = type;
    }

    /**
     * Sets the latency.
     *
     * @param micros from the start of the sample to the response, µs
     */
    public void latency(long micros) {
        latencyUs = micros;
    }

    /** Makes this a sample that took no time: it failed before there was anything to measure. */
    public void untimed() {
        measured = true;
        elapsedUs = 0;
    }

    /**
     * Adds a sub-result for a frame that a filter discarded. JMeter names it by the sample unless
     * {@code subresults.disable_renaming} is set.
     *
     * @param label its label where JMeter does not rename it
     * @param what the frame in words
     * @param headers bytes of its header
     * @param body bytes of its payload
     * @param sent bytes of the answer to it
     */
    public void discarded(String label, String what, long headers, long body, long sent) {
        SampleResult sub = new SampleResult();
        stamp(sub, System.currentTimeMillis(), 0);
        sub.setSampleLabel(label);
        sub.setSuccessful(true);
        sub.setResponseMessage(what);
        sub.setHeadersSize(Math.toIntExact(headers));
        sub.setBodySize(body);
        sub.setSentBytes(sent);
        if (discarded.isEmpty()) {
            discarded = new ArrayList<>();
        }
        discarded.add(sub);
    }

    /**
     * Makes a frame's payload the response data: text for text, bytes for binary, nothing for control frames.
     *
     * @param frame the frame
     * @param type TEXT or BINARY for data frames (a continuation inherits it), the frame's own opcode otherwise
     */
    public void content(Frame frame, Opcode type) {
        if (type == Opcode.TEXT) {
            data = frame.payload();
            dataType = SampleResult.TEXT;
        } else if (type == Opcode.BINARY) {
            data = frame.payload();
            dataType = SampleResult.BINARY;
        }
    }

    /**
     * Sets the response data to a text.
     *
     * @param text the text
     */
    public void text(String text) {
        data = text.getBytes(StandardCharsets.UTF_8);
        dataType = SampleResult.TEXT;
    }

    /**
     * Sets the response data to a text as it came.
     *
     * @param utf8 its bytes; what is no UTF-8 in them becomes U+FFFD
     */
    public void text(byte[] utf8) {
        if (isAscii(utf8)) {
            data = utf8;
            dataType = SampleResult.TEXT;
        } else {
            text(new String(utf8, StandardCharsets.UTF_8));
        }
    }

    private static boolean isAscii(byte[] bytes) {
        for (byte each : bytes) {
            if (each < 0) {
                return false;
            }
        }
        return true;
    }

    /**
     * Sets the response data to JSON, cut at {@value #MAX_JSON_CHARS} characters.
     *
     * @param json the value
     */
    public void json(JsonNode json) {
        String text = json.toString();
        if (text.length() > MAX_JSON_CHARS) {
            text = text.substring(0, MAX_JSON_CHARS) + "… (cut)";
        }
        text(text);
    }

    /**
     * Adds a duration measured by the engine to the elapsed time.
     *
     * @param micros microseconds
     */
    public void took(long micros) {
        measured = true;
        elapsedUs += micros;
    }

    /**
     * Sets connect time and latency from the start of the sample.
     *
     * @param connectMicros ICE connected, µs
     * @param latencyMicros DTLS done, µs
     */
    public void milestones(long connectMicros, long latencyMicros) {
        connectUs = connectMicros;
        latencyUs = latencyMicros;
    }

    /**
     * Records the duration of one phase for its column and for {@code webrtc.samples=phases}.
     *
     * @param column one of the {@code …Ms} names of {@link Columns}
     * @param micros microseconds
     */
    public void phase(String column, long micros) {
        if (phases.isEmpty()) {
            phases = new LinkedHashMap<>();
        }
        phases.put(column, micros);
    }

    /**
     * The phases recorded so far.
     *
     * @return column name → µs, in the order they happened
     */
    public Map<String, Long> phases() {
        return phases;
    }

    /**
     * Elapsed time as measured so far.
     *
     * @return µs
     */
    public long elapsedUs() {
        return elapsedUs;
    }

    /**
     * Marks success.
     *
     * @param responseCode response code
     * @param responseMessage response message
     */
    public void success(String responseCode, String responseMessage) {
        successful = true;
        code = responseCode;
        message = responseMessage;
    }

    /**
     * Marks failure.
     *
     * @param responseCode a code from a small fixed set: the dashboard groups by it
     * @param responseMessage a sentence
     */
    public void failure(String responseCode, String responseMessage) {
        successful = false;
        code = responseCode;
        message = responseMessage;
    }

    /**
     * Marks failure with all that is known of it: message, response data, response headers and columns.
     *
     * @param responseCode a code from a small fixed set
     * @param failure what the engine tells
     */
    public void failure(String responseCode, FailureReport failure) {
        failure(responseCode, failure.message());
        responseHeaders += failure.headerLines();
        told(failure);
    }

    /**
     * Whether the load generator itself was short of something during the sample.
     *
     * @param told what the engine says
     */
    public void starved(boolean told) {
        starved |= told;
    }

    /**
     * Adds a wait in the start gate, which is no part of the elapsed time.
     *
     * @param micros µs; negative = there was no gate
     */
    public void waitedAtGate(long micros) {
        if (micros >= 0) {
            gateWaitUs = Math.max(gateWaitUs, 0) + micros;
        }
    }

    /**
     * Makes this the sample of something that happened earlier.
     *
     * @param epochMillis when, ms since 1970
     */
    public void happenedAt(long epochMillis) {
        happenedAtMillis = epochMillis;
    }

    /**
     * The columns of this sample, besides those that only its sampler knows.
     *
     * @return column name → text; nothing about causes on success
     */
    public Map<String, String> columns() {
        if (successful && phases.isEmpty() && gateWaitUs < 0 && !starved) {
            return Collections.emptyMap();
        }
        Map<String, String> columns = new LinkedHashMap<>();
        phases.forEach((name, micros) -> columns.put(name, Columns.millis(micros)));
        if (gateWaitUs >= 0) {
            columns.put(Columns.GATE_WAIT_MS, Columns.millis(gateWaitUs));
        }
        if (starved) {
            columns.put(Columns.STARVED, "true");
        }
        if (!successful) {
            columns.put(Columns.CAUSE, cause());
            columns.put(Columns.CONFIDENCE, confidence);
            columns.put(Columns.EVIDENCE, evidenceLine.isEmpty()
                    ? FailureReport.oneLine(message, FailureReport.MAX_EVIDENCE_CHARS)
                    : evidenceLine);
        }
        return columns;
    }

    /**
     * The fixed code of what failed, for the column {@code webrtc_cause}.
     *
     * @return the engine's word where it was told; otherwise the response code, or a word of the one list for it
     */
    public String cause() {
        return cause.isEmpty() ? Codes.of(code) : cause;
    }

    /**
     * Sets the word for the column {@code webrtc_cause} where the response code is a text that existing plans rely on.
     *
     * @param word one of {@link Codes}
     */
    public void cause(String word) {
        cause = word;
    }

    /**
     * Fills the columns about the cause, and leaves code, message and response data as they are.
     *
     * @param failure what the engine tells
     */
    public void columns(FailureReport failure) {
        cause = failure.cause();
        confidence = failure.confidence();
        evidenceLine = failure.evidenceLine();
    }

    /**
     * Makes {@code {"error":…,"code":…,"details":…}} the response data of a failure, whose code and message stay as they are.
     *
     * @param error what failed, in words
     * @param errorCode the engine's fixed code
     * @param details the evidence; may be null; a verdict in it (see {@link FailureReport}) is taken up
     */
    public void evidence(String error, String errorCode, JsonNode details) {
        JsonNode verdict = details == null ? MissingNode.getInstance() : details;
        starved(verdict.path("starved").asBoolean());
        told(new FailureReport(error, errorCode, error, verdict, details));
    }

    /** Makes JSON with the message the response data of a failure that has none yet. */
    public void explain() {
        if (!successful && data.length == 0) {
            evidence(message, code, null);
        }
    }

    private void told(FailureReport failure) {
        columns(failure);
        text(failure.json(MAX_JSON_CHARS).toString());
    }

    /**
     * Whether this sample is a success so far.
     *
     * @return true after {@link #success}
     */
    public boolean isSuccessful() {
        return successful;
    }

    /**
     * The response code so far.
     *
     * @return empty before {@link #success} or {@link #failure}
     */
    public String code() {
        return code;
    }

    /**
     * Adds one sub-result per recorded phase, labelled by the phase ({@code webrtc.samples=phases}).
     */
    public void phasesAsSubResults() {
        long start = startedMillis;
        if (subResults.isEmpty()) {
            subResults = new ArrayList<>();
        }
        for (Map.Entry<String, Long> phase : phases.entrySet()) {
            String name = phase.getKey().substring(Columns.PREFIX.length()).replaceFirst("Ms$", "");
            SampleResult sub = new SampleResult();
            stamp(sub, start, toMillis(phase.getValue()));
            sub.setSampleLabel(name);
            sub.setSuccessful(true);
            sub.setResponseCodeOK();
            sub.setResponseMessageOK();
            subResults.add(sub);
            start += toMillis(phase.getValue());
        }
    }

    /**
     * Builds the result.
     *
     * @return a plain {@link SampleResult}, which every listener and remote worker can carry
     */
    public SampleResult build() {
        // A sample starts when its gate has let it through.
        long gateMillis = toMillis(Math.max(gateWaitUs, 0));
        long elapsedMillis = measured
                ? toMillis(elapsedUs)
                : Math.max(0, TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startedNanos) - gateMillis);
        SampleResult result = new SampleResult();
        stamp(result, happenedAtMillis == null ? startedMillis + gateMillis : happenedAtMillis, elapsedMillis);
        result.setConnectTime(toMillis(connectUs));
        result.setLatency(toMillis(latencyUs));
        result.setSampleLabel(label);
        result.setSamplerData(samplerData);
        result.setRequestHeaders(requestHeaders);
        result.setResponseHeaders(responseHeaders);
        if (url != null) {
            result.setURL(url);
        }
        result.setDataEncoding(StandardCharsets.UTF_8.name());
        result.setDataType(dataType);
        result.setResponseData(data);
        result.setHeadersSize(Math.toIntExact(headersBytes));
        result.setBodySize(bodyBytes);
        result.setSentBytes(sentBytes);
        result.setSuccessful(successful);
        result.setResponseCode(code);
        result.setResponseMessage(message);
        for (SampleResult sub : discarded) {
            result.storeSubResult(sub);
        }
        for (SampleResult sub : subResults) {
            result.storeSubResult(sub, false);
        }
        return result;
    }

    /**
     * Takes the elapsed time from the Java clock after all: a wait that ended without a wire event (a timeout, a cancel)
     * has no time of its own at the wire.
     */
    public void onJavaClock() {
        measured = false;
    }

    private static void stamp(SampleResult result, long startMillis, long elapsedMillis) {
        result.setStampAndTime(StampSwitch.IS_START ? startMillis : startMillis + elapsedMillis, elapsedMillis);
    }

    /** Read with the first result, as {@link SampleResult} reads the same switch: JMeter's properties are there by then. */
    private static final class StampSwitch {
        /** Whether the stamp of a sample is its start, and not its end. */
        static final boolean IS_START = JMeterUtils.getPropDefault("sampleresult.timestamp.start", false);
    }

    private static long toMillis(long micros) {
        return (micros + MICROS_PER_MILLI / 2) / MICROS_PER_MILLI;
    }
}
