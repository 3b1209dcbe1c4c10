package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.AbstractMap.SimpleImmutableEntry;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** How long the phases of opening a WebSocket took, and what the server answered. Times are µs, taken at the wire. */
public final class Opened {
    private final JsonNode json;
    private final List<Map.Entry<String, String>> headers;

    Opened(JsonNode json) {
        this.json = json;
        List<Map.Entry<String, String>> pairs = new ArrayList<>();
        for (JsonNode pair : json.path("headers")) {
            pairs.add(new SimpleImmutableEntry<>(pair.path(0).asText(), pair.path(1).asText()));
        }
        headers = Collections.unmodifiableList(pairs);
    }

    /**
     * Name resolution.
     *
     * @return µs, −1 when the URL named an address
     */
    public long dnsUs() {
        return json.path("dnsUs").asLong(-1);
    }

    /**
     * TCP connect, over all addresses tried.
     *
     * @return µs
     */
    public long tcpUs() {
        return json.path("tcpUs").asLong();
    }

    /**
     * TLS handshake.
     *
     * @return µs, −1 without TLS
     */
    public long tlsUs() {
        return json.path("tlsUs").asLong(-1);
    }

    /**
     * Upgrade request sent → response complete.
     *
     * @return µs
     */
    public long upgradeUs() {
        return json.path("upgradeUs").asLong();
    }

    /**
     * All phases together.
     *
     * @return µs
     */
    public long totalUs() {
        return json.path("totalUs").asLong();
    }

    /**
     * Wait in the start gate, before all phases.
     *
     * @return µs, −1 without a gate
     */
    public long gateWaitUs() {
        return json.path("gateWaitUs").asLong(-1);
    }

    /**
     * Upgrade request sent → first byte of the response.
     *
     * @return µs
     */
    public long firstByteUs() {
        return json.path("firstByteUs").asLong();
    }

    /**
     * HTTP status.
     *
     * @return 101
     */
    public int status() {
        return json.path("status").asInt();
    }

    /**
     * HTTP status line.
     *
     * @return for example {@code HTTP/1.1 101 Switching Protocols}
     */
    public String statusLine() {
        return json.path("statusLine").asText();
    }

    /**
     * Response headers, in the order and spelling of the server.
     *
     * @return an unmodifiable list
     */
    public List<Map.Entry<String, String>> headers() {
        return headers;
    }

    /**
     * Size of the upgrade request.
     *
     * @return bytes
     */
    public int requestBytes() {
        return json.path("requestBytes").asInt();
    }

    /**
     * Size of the head of the upgrade response.
     *
     * @return bytes
     */
    public int responseBytes() {
        return json.path("responseBytes").asInt();
    }

    /**
     * The server's address.
     *
     * @return {@code address:port}
     */
    public String peer() {
        return json.path("peer").asText();
    }

    /**
     * Our address.
     *
     * @return {@code address:port}
     */
    public String local() {
        return json.path("local").asText();
    }
}
