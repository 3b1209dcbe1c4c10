package io.github.jmeterwebrtc.jmeter.dropin;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;

/**
 * Failures of the engine in the words of Java's own sockets, which codes and messages of existing plans have. In fixed mode
 * the cause stands behind the old words.
 */
final class FailureWords {
    /** Response code of a failed connection, sic. */
    static final String IO_ERROR = "Websocket I/O error";
    private static final String CERTIFICATE_REFUSED = "TLS: invalid peer certificate";

    private static final int EPIPE = 32;
    private static final int ECONNRESET = 104;

    private final Behaviour behaviour;

    FailureWords(Behaviour behaviour) {
        this.behaviour = behaviour;
    }

    static String io(String words) {
        return "WebSocket I/O error: " + words;
    }

    /** Opening has failed. */
    void open(EngineException failure, boolean throughProxy, ResultBuilder result) {
        JsonNode details = failure.details();
        result.columns(report(failure, details));
        switch (failure.code()) {
            case "UPGRADE_STATUS":
                result.failure(details.path("status").asText(),
                        with(failure.getMessage(), retryAfter(details.path("headers"))));
                return;
            case "UPGRADE":
                result.failure("", failure.getMessage());
                return;
            case "PROXY":
                if (details.path("status").isNumber()) {
                    result.failure(details.path("status").asText(),
                            "Connecting proxy failed with status code " + details.path("status").asText());
                    return;
                }
                if (details.path("detail").asText().endsWith("after 0 bytes")) {
                    // As with compressed frames: the words of a JVM of today for an answer that never came.
                    result.failure(DropInSample.SAMPLER_ERROR, with("Sampler error: java.lang.NullPointerException: Cannot invoke"
                            + " \"java.lang.CharSequence.length()\" because \"this.text\" is null",
                            details.path("detail").asText()));
                    return;
                }
                break;
            default:
        }
        String words = openWords(failure.code(), failure.getMessage(), details);
        boolean atProxy = throughProxy && (failure.code().startsWith("CONNECT")
                || failure.code().equals("PROXY") || "proxy".equals(details.path("phase").asText()));
        result.failure(IO_ERROR, io(atProxy ? "Proxy connection setup error: " + words : words));
    }

    private String openWords(String code, String message, JsonNode details) {
        switch (code) {
            case "DNS":
                return with(details.path("host").asText(), details.path("detail").asText());
            case "CONNECT":
                return errnoWords(details.path("errno").asInt(), message);
            case "CONNECT_TIMEOUT":
                return "Connect timed out";
            case "TIMEOUT":
                return with("Read timed out", message);
            case "TLS":
                return tlsWords(details);
            case "CLOSED":
                JsonNode cause = details.path("cause");
                return "fin".equals(cause.path("kind").asText())
                        ? "Empty response; connection closed."
                        : closedWords(cause, message);
            default:
                return details.path("detail").asText(message);
        }
    }

    /** Sending ({@code writing}) or receiving over a connection has failed. */
    void use(EngineException failure, boolean writing, DropInConnection connection, ResultBuilder result) {
        JsonNode details = failure.details();
        result.columns(report(failure, details));
        if ("FRAME".equals(failure.code())) {
            lapse(details.path("detail").asText(), result);
            return;
        }
        JsonNode cause = details.path("cause");
        String words;
        if (!"CLOSED".equals(failure.code())) {
            words = failure.getMessage();
        } else if (writing && behaviour.noticesEnd()) {
            words = with("Broken pipe", cause.path("description").asText());
        } else if (connection.isTlsBroken()) {
            words = writing ? "Connection or outbound has closed" : "Socket is closed";
        } else if (writing && connection.isSecure()) {
            words = with("Broken pipe", cause.path("description").asText());
        } else {
            words = with(closedWords(cause, failure.getMessage()), cause.path("description").asText());
            if (!writing && !words.startsWith("end of stream")) {
                connection.broke();
            }
        }
        result.failure(IO_ERROR, io(words));
    }

    /** What the columns say, in plans that have them. */
    private static FailureReport report(EngineException failure, JsonNode details) {
        return new FailureReport(failure.getMessage(), failure.resultCode(), failure.getMessage(), details, details);
    }

    /** A frame that breaks the protocol. */
    private static void lapse(String detail, ResultBuilder result) {
        String exception = "Sampler error: java.lang.RuntimeException: ";
        if (detail.startsWith("unsupported frame type")) {
            result.failure(DropInSample.SAMPLER_ERROR, exception + detail);
        } else if (detail.startsWith("frame too large")) {
            result.failure(DropInSample.SAMPLER_ERROR,
                    exception + "Frame too large; Java does not support arrays longer than 2147483647 bytes.");
        } else if (detail.startsWith("cannot inflate: ")) {
            result.failure(DropInSample.SAMPLER_ERROR, exception + "java.util.zip.DataFormatException: "
                    + detail.substring("cannot inflate: ".length()));
        } else if (detail.startsWith("a compressed frame")) {
            // The words are those of a JVM of today for what happened to the plugin then; assertions have them.
            result.failure(DropInSample.SAMPLER_ERROR, "Sampler error: java.lang.NullPointerException: Cannot invoke"
                    + " \"eu.luminis.websocket.WebSocketInflater.appendCompressedData(byte[], boolean, org.apache.log.Logger)\""
                    + " because \"webSocketInflater\" is null");
        } else if (detail.startsWith("expected payload")) {
            result.failure(IO_ERROR, io("WebSocket protocol error: " + detail));
        } else {
            result.failure(IO_ERROR, io(detail));
        }
    }

    private static String closedWords(JsonNode cause, String message) {
        switch (cause.path("kind").asText()) {
            case "reset":
                return "Connection reset";
            case "io":
                int errno = cause.path("errno").asInt();
                return errno == ECONNRESET
                        ? "Connection reset by peer"
                        : errnoWords(errno, cause.path("detail").asText(message));
            case "protocol":
                return cause.path("detail").asText();
            case "tlsAlert":
                return "Received fatal alert: " + cause.path("alert").asText();
            default:
                return "end of stream";
        }
    }

    /**
     * Whatever ended the handshake: the plugin went on with a connection that the JVM had closed for it. It verified no certificates;
     * a refusal of one was asked for, and says so.
     */
    private String tlsWords(JsonNode details) {
        String detail = details.path("detail").asText();
        return detail.startsWith(CERTIFICATE_REFUSED) ? detail : with("Socket is closed", detail);
    }

    private static String errnoWords(int errno, String otherwise) {
        switch (errno) {
            case EPIPE:
                return "Broken pipe";
            case 13:
                return "Permission denied";
            case 24:
                return "Too many open files";
            case 99:
                return "Cannot assign requested address";
            case 101:
                return "Network is unreachable";
            case ECONNRESET:
                return "Connection reset";
            case 110:
                return "Connection timed out";
            case 111:
                return "Connection refused";
            case 113:
                return "No route to host";
            default:
                return otherwise;
        }
    }

    private static String retryAfter(JsonNode headers) {
        for (JsonNode header : headers) {
            if ("retry-after".equalsIgnoreCase(header.path(0).asText())) {
                return "Retry-After: " + header.path(1).asText();
            }
        }
        return "";
    }

    private String with(String oldWords, String cause) {
        return behaviour.noticesEnd() && !cause.isEmpty() && !cause.equals(oldWords) ? oldWords + ": " + cause : oldWords;
    }
}
