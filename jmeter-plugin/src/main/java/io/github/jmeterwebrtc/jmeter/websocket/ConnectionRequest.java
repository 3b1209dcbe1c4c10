package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Scope;
import io.github.jmeterwebrtc.Socket;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIceSettings;
import io.github.jmeterwebrtc.jmeter.config.GateSettings;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.Connection;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.io.IOException;
import java.net.InetAddress;
import java.net.MalformedURLException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.UnknownHostException;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.protocol.http.control.CookieManager;
import org.apache.jmeter.protocol.http.control.DNSCacheManager;

/**
 * What opening a connection needs, read once from a sampler and checked before anything leaves.
 *
 * <p>Its {@link #json()} is the engine's socket configuration.
 */
final class ConnectionRequest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int MAX_PORT = 65_535;
    private static final long MAX_CONNECT_TIMEOUT_MS = 999_999;
    private static final long DNS_TIMEOUT_MS = 5_000;
    private static final long MAX_PING_INTERVAL_S = 86_400;
    private static final long MILLIS_PER_SECOND = 1_000;
    /** What the deadline of the whole call leaves beyond the deadlines of the phases, ms. */
    private static final long MARGIN_MS = 1_000;

    private final String url;
    private final String json;
    private final String headerLines;
    private final long overallTimeoutMs;
    private final boolean hasAutoIce;

    private ConnectionRequest(String url, ObjectNode config, String headerLines, long overallTimeoutMs) {
        this.url = url;
        this.json = config.toString();
        this.headerLines = headerLines;
        this.overallTimeoutMs = overallTimeoutMs;
        this.hasAutoIce = config.has("autoIce");
    }

    /**
     * For a signaling WebSocket of its own: a URL, verified TLS, JMeter's proxy, the default timeouts of the engine, and the
     * start gate of the call ({@code null} = none).
     */
    static ConnectionRequest ofUrl(String url, long timeoutMs, JsonNode gate) throws InvalidElementException {
        URI uri;
        try {
            uri = new URI(url);
        } catch (URISyntaxException e) {
            throw new InvalidElementException("signalingUrl: '" + url + "' is not a URL: " + e.getReason());
        }
        boolean tls = "wss".equals(uri.getScheme());
        if (!tls && !"ws".equals(uri.getScheme()) || uri.getHost() == null) {
            throw new InvalidElementException("signalingUrl: '" + url + "' is not a ws:// or wss:// URL with a host");
        }
        ObjectNode config = JSON.createObjectNode();
        config.put("url", url);
        config.put("dnsTimeoutMs", DNS_TIMEOUT_MS);
        config.put("connectTimeoutMs", timeoutMs);
        config.put("handshakeTimeoutMs", timeoutMs);
        secure(config, tls, true);
        proxy(config, uri.getHost());
        if (gate != null) {
            config.set("gate", gate);
        }
        return new ConnectionRequest(url, config, "", DNS_TIMEOUT_MS + 4 * timeoutMs + MARGIN_MS);
    }

    static ConnectionRequest of(WebSocketSampler sampler) throws InvalidElementException {
        boolean tls = sampler.getTLS();
        String server = sampler.getServer().trim();
        int port = port(sampler.getPort());
        long connectTimeoutMs = connectTimeoutMs(sampler.getConnectTimeout());
        long readTimeoutMs = sampler.readTimeoutMs();
        if (server.isEmpty()) {
            throw new InvalidElementException("Server name or IP ('server') is empty.");
        }
        String address = (server.indexOf(':') >= 0 && !server.startsWith("[") ? "[" + server + "]" : server)
                + ":" + port + path(sampler.getPath());
        String url = (tls ? "wss://" : "ws://") + address;
        HandshakeHeaders headers = HandshakeHeaders.of(sampler.getHeaderManager(),
                cookies(sampler.getCookieManager(), (tls ? "https://" : "http://") + address));

        ObjectNode config = JSON.createObjectNode();
        config.put("url", url);
        ArrayNode pairs = config.putArray("headers");
        for (Map.Entry<String, String> header : headers.sent()) {
            pairs.addArray().add(header.getKey()).add(header.getValue());
        }
        config.put("deflate", headers.wantsDeflate());
        config.put("dnsTimeoutMs", DNS_TIMEOUT_MS);
        config.put("connectTimeoutMs", connectTimeoutMs);
        config.put("handshakeTimeoutMs", readTimeoutMs);
        keepAlive(sampler, config);
        secure(config, tls, sampler.getVerifyCertificate());
        proxy(config, server);
        GateSettings.putOfProperties(config);
        addresses(config, server, sampler.surroundings().dns());
        AutoIceSettings autoIce = AutoIceSettings.ofSocket(false, sampler.getThreadContext());
        if (autoIce != null) {
            config.set("autoIce", autoIce.config());
        }
        long phases = DNS_TIMEOUT_MS + connectTimeoutMs + 3 * readTimeoutMs + MARGIN_MS;
        return new ConnectionRequest(url, config, headers.lines(), readTimeoutMs == 0 ? 0 : phases);
    }

    private static void secure(ObjectNode config, boolean tls, boolean verify) throws InvalidElementException {
        if (!tls) {
            return;
        }
        TrustStore.put(config, verify);
        try {
            ClientIdentity.put(config);
        } catch (IOException e) {
            throw new InvalidElementException("javax.net.ssl.keyStore: " + e.getMessage());
        }
    }

    private static void proxy(ObjectNode config, String server) throws InvalidElementException {
        ProxySettings proxy = ProxySettings.forServer(server);
        if (proxy != null) {
            port(proxy.port());
            proxy.put(config, proxy.host());
        }
    }

    /** What JMeter's DNS Cache Manager says, where there is one; a proxy resolves by itself. */
    private static void addresses(ObjectNode config, String server, DNSCacheManager dns) throws InvalidElementException {
        if (dns == null || config.has("proxy")) {
            return;
        }
        try {
            ArrayNode addresses = config.putArray("addresses");
            for (InetAddress address : dns.resolve(server)) {
                // Without the zone of a link-local address, which the engine takes from the route.
                addresses.add(address.getHostAddress().replaceFirst("%.*", ""));
            }
        } catch (UnknownHostException e) {
            throw new InvalidElementException("The DNS Cache Manager cannot resolve '" + server + "': " + e.getMessage());
        }
    }

    /**
     * Opens the connection; an open one of that name ends first, without a close frame, as plans are used to.
     *
     * @param owner the scope of the thread or of the test
     */
    Connection open(String name, Scope owner, ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws EngineException, TimeoutException {
        thread.forget(name);
        owner.releaseSocket(name);
        result.url(url);
        Socket socket;
        try {
            socket = owner.openSocket(bounded.operation(), name, json, bounded.clip(overallTimeoutMs));
        } catch (EngineException e) {
            result.waitedAtGate(e.details().path("gateWaitUs").asLong(-1));
            throw e;
        }
        result.opened(socket.opened());
        if (hasAutoIce) {
            thread.watchAutoIce(owner);
        }
        Connection connection = new Connection(socket, url);
        if (owner == thread.scope()) {
            thread.remember(name, connection);
        }
        return connection;
    }

    String url() {
        return url;
    }

    String json() {
        return json;
    }

    String headerLines() {
        return headerLines;
    }

    /** Deadline of DNS, TCP, TLS, proxy and upgrade together, ms; 0 = none. */
    long overallTimeoutMs() {
        return overallTimeoutMs;
    }

    static int port(String value) throws InvalidElementException {
        return (int) number(value, 1, MAX_PORT,
                "Port number '" + value + "' is not a number.",
                "Port number '" + value + "' is not valid.");
    }

    static long connectTimeoutMs(String value) throws InvalidElementException {
        return number(value, 1, MAX_CONNECT_TIMEOUT_MS,
                "Connection timeout '" + value + "' is not a number.",
                "Connection timeout '" + value + "' is not valid; should between 1 and " + MAX_CONNECT_TIMEOUT_MS);
    }

    static long number(String value, long least, long most, String notANumber, String outside)
            throws InvalidElementException {
        long number;
        try {
            number = Long.parseLong(value);
        } catch (NumberFormatException e) {
            throw new InvalidElementException(notANumber);
        }
        if (number < least || number > most) {
            throw new InvalidElementException(outside);
        }
        return number;
    }

    /** The request path: a leading slash, no fragment (which is never sent, RFC 6455 3). */
    static String path(String value) {
        String path = value.trim();
        int fragment = path.indexOf('#');
        if (fragment >= 0) {
            path = path.substring(0, fragment);
        }
        return path.startsWith("/") ? path : "/" + path;
    }

    private static void keepAlive(WebSocketSampler sampler, ObjectNode config) throws InvalidElementException {
        String seconds = sampler.getPingInterval();
        if (seconds.isEmpty()) {
            return;
        }
        long interval = number(seconds, 0, MAX_PING_INTERVAL_S,
                "Ping interval ('pingInterval') '" + seconds + "' is not a whole number of seconds.",
                "Ping interval ('pingInterval') '" + seconds + "' is not between 0 and " + MAX_PING_INTERVAL_S);
        config.put("pingIntervalMs", interval * MILLIS_PER_SECOND);
        String text = sampler.getPingText();
        if (interval > 0 && !text.isEmpty()) {
            config.put("pingText", text);
        }
    }

    private static String cookies(CookieManager manager, String httpUrl) throws InvalidElementException {
        if (manager == null) {
            return null;
        }
        try {
            return manager.getCookieHeaderForURL(new URL(httpUrl));
        } catch (MalformedURLException e) {
            throw new InvalidElementException("Server and path ('server', 'path') make no URL: " + e.getMessage());
        }
    }
}
