package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.AbstractMap.SimpleImmutableEntry;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.jmeter.protocol.http.control.Header;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The headers that a plan adds to the upgrade request (RFC 6455 4.1).
 *
 * <p>Those of the handshake itself are dropped with an error in the log; they are still shown in the result.
 */
final class HandshakeHeaders {
    private static final Logger LOG = LoggerFactory.getLogger(HandshakeHeaders.class);
    private static final Set<String> OURS = new HashSet<>(Arrays.asList(
            "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"));
    private static final String EXTENSIONS = "sec-websocket-extensions";
    private static final String DEFLATE = "permessage-deflate";

    private final List<Map.Entry<String, String>> sent = new ArrayList<>();
    private final StringBuilder lines = new StringBuilder();
    private boolean deflate;

    private HandshakeHeaders() {
    }

    static HandshakeHeaders of(HeaderManager manager, String cookies) throws InvalidElementException {
        HandshakeHeaders headers = new HandshakeHeaders();
        if (cookies != null && !cookies.isEmpty()) {
            headers.add("Cookie", cookies);
        }
        for (int i = 0; manager != null && i < manager.size(); i++) {
            Header header = manager.get(i);
            if (!header.getName().isEmpty()) {
                headers.add(header.getName(), header.getValue());
            }
        }
        return headers;
    }

    /** Inner headers, and those outer ones whose name no inner one has. */
    static HeaderManager merge(HeaderManager inner, HeaderManager outer) {
        HeaderManager merged = new HeaderManager();
        Set<String> names = new HashSet<>();
        for (int i = 0; i < inner.size(); i++) {
            merged.add(inner.get(i));
            names.add(inner.get(i).getName().toLowerCase(Locale.ROOT));
        }
        for (int i = 0; i < outer.size(); i++) {
            if (!names.contains(outer.get(i).getName().toLowerCase(Locale.ROOT))) {
                merged.add(outer.get(i));
            }
        }
        return merged;
    }

    List<Map.Entry<String, String>> sent() {
        return sent;
    }

    String lines() {
        return lines.toString();
    }

    /** Whether the plan asks for permessage-deflate (RFC 7692), which the engine negotiates itself. */
    boolean wantsDeflate() {
        return deflate;
    }

    private void add(String name, String value) throws InvalidElementException {
        if (hasLineBreak(name) || hasLineBreak(value)) {
            throw new InvalidElementException("Header '" + name.replaceAll("[\r\n]", " ") + "' contains a line break.");
        }
        lines.append(name).append(": ").append(value).append('\n');
        String lower = name.toLowerCase(Locale.ROOT);
        if (OURS.contains(lower)) {
            LOG.error("Header '{}' belongs to the WebSocket handshake and is not sent", name);
        } else if (lower.equals(EXTENSIONS) && value.contains(DEFLATE)) {
            deflate = true;
        } else {
            sent.add(new SimpleImmutableEntry<>(name, value));
        }
    }

    private static boolean hasLineBreak(String text) {
        return text.indexOf('\r') >= 0 || text.indexOf('\n') >= 0;
    }
}
