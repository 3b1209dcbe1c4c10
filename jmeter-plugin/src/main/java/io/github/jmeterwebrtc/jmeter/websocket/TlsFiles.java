package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.Base64;
import java.util.Collections;

/**
 * Whom a {@code wss} connection trusts and who it says it is, from the stores that JMeter is started with.
 *
 * <p>{@code javax.net.ssl.trustStore} replaces the system's certificates; {@code javax.net.ssl.keyStore} gives the client
 * certificate (its first key entry). Both are read anew for a new connection, as PEM for the engine; neither is logged.
 */
final class TlsFiles {
    private static final Base64.Encoder PEM = Base64.getMimeEncoder(64, new byte[] {'\n'});

    private TlsFiles() {
    }

    /** Adds {@code trust} and {@code clientCertificate} to a socket configuration. */
    static void put(ObjectNode config, boolean verify) throws InvalidElementException {
        String trustStore = System.getProperty("javax.net.ssl.trustStore", "");
        if (!verify) {
            config.put("trust", "all");
        } else if (!trustStore.isEmpty() && !"NONE".equals(trustStore)) {
            config.putObject("trust").put("pem", certificates(load("javax.net.ssl.trustStore", trustStore)));
        } else {
            config.put("trust", "system");
        }
        String keyStore = System.getProperty("javax.net.ssl.keyStore", "");
        if (!keyStore.isEmpty() && !"NONE".equals(keyStore)) {
            clientCertificate(config, load("javax.net.ssl.keyStore", keyStore));
        }
    }

    private static KeyStore load(String property, String path) throws InvalidElementException {
        String type = System.getProperty(property + "Type", path.endsWith(".p12") ? "PKCS12" : KeyStore.getDefaultType());
        String password = System.getProperty(property + "Password", "");
        try (InputStream in = Files.newInputStream(Paths.get(path))) {
            KeyStore store = KeyStore.getInstance(type);
            store.load(in, password.isEmpty() ? null : password.toCharArray());
            return store;
        } catch (IOException | GeneralSecurityException e) {
            throw new InvalidElementException(property + ": '" + path + "' cannot be read: " + e.getMessage());
        }
    }

    private static String certificates(KeyStore store) throws InvalidElementException {
        StringBuilder pem = new StringBuilder();
        try {
            for (String alias : Collections.list(store.aliases())) {
                if (store.isCertificateEntry(alias)) {
                    append(pem, "CERTIFICATE", store.getCertificate(alias).getEncoded());
                }
            }
        } catch (GeneralSecurityException e) {
            throw new InvalidElementException("javax.net.ssl.trustStore: a certificate cannot be read: " + e.getMessage());
        }
        return pem.toString();
    }

    private static void clientCertificate(ObjectNode config, KeyStore store) throws InvalidElementException {
        char[] password = System.getProperty("javax.net.ssl.keyStorePassword", "").toCharArray();
        try {
            for (String alias : Collections.list(store.aliases())) {
                if (store.isKeyEntry(alias)) {
                    Key key = store.getKey(alias, password);
                    StringBuilder chain = new StringBuilder();
                    for (Certificate certificate : store.getCertificateChain(alias)) {
                        append(chain, "CERTIFICATE", certificate.getEncoded());
                    }
                    StringBuilder keyPem = new StringBuilder();
                    append(keyPem, "PRIVATE KEY", key.getEncoded());
                    config.putObject("clientCertificate")
                            .put("chainPem", chain.toString())
                            .put("keyPem", keyPem.toString());
                    return;
                }
            }
        } catch (GeneralSecurityException e) {
            throw new InvalidElementException("javax.net.ssl.keyStore: the key cannot be read: " + e.getMessage());
        }
    }

    private static void append(StringBuilder pem, String kind, byte[] der) {
        pem.append("-----BEGIN ").append(kind).append("-----\n")
                .append(new String(PEM.encode(der), StandardCharsets.US_ASCII))
                .append("\n-----END ").append(kind).append("-----\n");
    }
}
