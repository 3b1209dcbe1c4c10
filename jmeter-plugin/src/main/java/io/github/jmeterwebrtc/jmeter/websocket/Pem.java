package io.github.jmeterwebrtc.jmeter.websocket;

import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** Certificates and keys as text (RFC 7468). Pure. */
final class Pem {
    private static final Base64.Encoder LINES = Base64.getMimeEncoder(64, new byte[] {'\n'});

    private Pem() {
    }

    /** Appends one entry of a kind such as {@code CERTIFICATE}. */
    static void append(StringBuilder pem, String kind, byte[] der) {
        pem.append("-----BEGIN ").append(kind).append("-----\n")
                .append(new String(LINES.encode(der), StandardCharsets.US_ASCII))
                .append("\n-----END ").append(kind).append("-----\n");
    }
}
