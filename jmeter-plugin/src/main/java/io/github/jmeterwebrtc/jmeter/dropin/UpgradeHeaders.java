package io.github.jmeterwebrtc.jmeter.dropin;

import java.net.URL;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import org.apache.jmeter.protocol.http.control.CookieManager;
import org.apache.jmeter.protocol.http.control.Header;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The headers that a plan adds to the upgrade request: of equal names the last, in the order of a {@link HashMap}, which
 * recorded results and servers have seen for years.
 */
final class UpgradeHeaders {
    private static final Logger LOG = LoggerFactory.getLogger(UpgradeHeaders.class);
    private static final Set<String> OF_THE_HANDSHAKE = new HashSet<>(
            Arrays.asList("host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"));
    private static final String EXTENSIONS = "sec-websocket-extensions";
    private static final String DEFLATE = "permessage-deflate";
    private static final String EACH_ON_ITS_OWN = "server_no_context_takeover";

    private final Map<String, String> headers = new HashMap<>();

    /** Headers and cookies of the managers in scope, either of which may be null. */
    static UpgradeHeaders of(HeaderManager manager, CookieManager cookies, URL url) {
        UpgradeHeaders all = new UpgradeHeaders();
        for (int i = 0; manager != null && i < manager.size(); i++) {
            Header header = manager.get(i);
            if (!header.getName().isEmpty()) {
                all.headers.put(header.getName(), header.getValue());
            }
        }
        String cookie = null;
        try {
            cookie = cookies == null || url == null ? null : cookies.getCookieHeaderForURL(url);
        } catch (IllegalArgumentException e) {
            throw new UnusableElementException("There are no cookies for " + url + ": " + e.getMessage(), e);
        }
        if (cookie != null) {
            all.headers.put("Cookie", cookie);
        }
        return all;
    }

    /** One header per line, also those that are not sent. */
    String lines() {
        StringJoiner lines = new StringJoiner("\n");
        headers.forEach((name, value) -> lines.add(name + ": " + value));
        return lines.toString();
    }

    /**
     * What is sent: the headers of the handshake itself are left out, with an error in the log.
     *
     * @throws IllegalArgumentException for a line break
     */
    Map<String, String> sent() {
        Map<String, String> sent = new LinkedHashMap<>(headers);
        headers.forEach((name, value) -> {
            if (OF_THE_HANDSHAKE.contains(name.toLowerCase(Locale.ROOT))) {
                LOG.error("Ignoring user supplied header '{}': it belongs to the WebSocket handshake", name);
                sent.remove(name);
            } else if (hasLineBreak(name) || hasLineBreak(value)) {
                throw new IllegalArgumentException("Invalid header; contains new line.");
            }
        });
        return sent;
    }

    /** How the plan wants compressed messages taken: {@code never}, {@code always} or {@code eachOnItsOwn}. */
    String inflate() {
        String extensions = "";
        for (Map.Entry<String, String> header : headers.entrySet()) {
            if (header.getKey().toLowerCase(Locale.ROOT).equals(EXTENSIONS)) {
                extensions = header.getValue();
            }
        }
        if (!extensions.contains(DEFLATE)) {
            return "never";
        }
        return extensions.contains(EACH_ON_ITS_OWN) ? "eachOnItsOwn" : "always";
    }

    private static boolean hasLineBreak(String text) {
        return text.indexOf('\r') >= 0 || text.indexOf('\n') >= 0;
    }
}
