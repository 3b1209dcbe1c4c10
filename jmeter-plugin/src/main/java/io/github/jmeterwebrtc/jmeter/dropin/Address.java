package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.websocket.WebSocketSampler;
import java.net.MalformedURLException;
import java.net.URL;

/** Where a sampler connects to, read once from its properties and checked in the words of existing plans. Immutable. */
final class Address {
    private static final int MOST_PORT = 65_535;
    private static final int PORT_WITHOUT_TLS = 80;
    private static final int PORT_WITH_TLS = 443;
    private static final int MOST_CONNECT_MS = 999_999;
    private static final int MOST_READ_MS = 9_999_999;

    private final boolean secure;
    private final URL url;
    private final int connectTimeoutMs;
    private final int readTimeoutMs;

    private Address(boolean secure, URL url, int connectTimeoutMs, int readTimeoutMs) {
        this.secure = secure;
        this.url = url;
        this.connectTimeoutMs = connectTimeoutMs;
        this.readTimeoutMs = readTimeoutMs;
    }

    /**
     * Reads and checks server, port, path and timeouts.
     *
     * @throws InvalidElementException for a number that is none, or out of range
     * @throws UnusableElementException when they make no URL
     */
    static Address of(WebSocketSampler sampler) throws InvalidElementException {
        int port = port(sampler.getPort());
        int connectMs = number(sampler.getConnectTimeout(), "Connection timeout", 1, MOST_CONNECT_MS);
        int readMs = readTimeout(sampler.getReadTimeout());
        boolean secure = sampler.getTLS();
        String path = sampler.getPath();
        try {
            // The fragment, which is never sent, goes to the URL's reference. Spaces before a slash stay as they are.
            String file = path.trim().startsWith("/") ? path : "/" + path;
            URL url = new URL(secure ? "https" : "http", sampler.getServer(), port, file);
            return new Address(secure, url, connectMs, readMs);
        } catch (MalformedURLException e) {
            throw new UnusableElementException("Server ('server') and path ('path') make no URL: " + e.getMessage(), e);
        }
    }

    /**
     * Checks what a sampler that uses an existing connection has no use for.
     *
     * @return null, which stands for the existing connection
     * @throws UnusableElementException when the connection timeout is no number
     */
    static Address ofExisting(WebSocketSampler sampler) {
        String timeout = sampler.getConnectTimeout();
        try {
            Integer.parseInt(timeout);
        } catch (NumberFormatException e) {
            throw new UnusableElementException("Connection timeout '" + timeout + "' is not a number", e);
        }
        return null;
    }

    static int readTimeout(String value) throws InvalidElementException {
        return number(value, "Read timeout", 0, MOST_READ_MS);
    }

    private static int port(String value) throws InvalidElementException {
        int port;
        try {
            port = Integer.parseInt(value);
        } catch (NumberFormatException e) {
            throw new InvalidElementException("Port number '" + value + "' is not a number.");
        }
        if (port < 1 || port > MOST_PORT) {
            throw new InvalidElementException("Port number '" + value + "' is not valid.");
        }
        return port;
    }

    private static int number(String value, String name, int least, int most) throws InvalidElementException {
        int number;
        try {
            number = Integer.parseInt(value);
        } catch (NumberFormatException e) {
            throw new InvalidElementException(name + " '" + value + "' is not a number.");
        }
        if (number < least || number > most) {
            // "should between" is how this has always read; assertions match on it.
            throw new InvalidElementException(
                    name + " '" + value + "' is not valid; should between " + least + " and " + most);
        }
        return number;
    }

    boolean isSecure() {
        return secure;
    }

    /** Host as in the {@code Host} header. */
    String host() {
        return url.getHost();
    }

    int port() {
        return url.getPort();
    }

    /** Whether the port is the one where servers expect the other scheme. */
    boolean hasPortOfTheOtherScheme() {
        return port() == (secure ? PORT_WITHOUT_TLS : PORT_WITH_TLS);
    }

    /** Path and query as they are sent. */
    String target() {
        return url.getFile();
    }

    /** The URL as a proxy is given it: with scheme {@code http} or {@code https}, and with the fragment. */
    String proxyTarget() {
        return url.toString();
    }

    /** The URL as results show it. */
    String shown() {
        String file = url.getFile();
        return (secure ? "wss" : "ws") + "://" + url.getAuthority() + (file.startsWith("/") ? file : "/" + file);
    }

    URL url() {
        return url;
    }

    int connectTimeoutMs() {
        return connectTimeoutMs;
    }

    /** 0 = none. */
    int readTimeoutMs() {
        return readTimeoutMs;
    }
}
