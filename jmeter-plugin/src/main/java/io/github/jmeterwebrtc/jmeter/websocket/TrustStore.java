package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Collections;

/**
 * Whom a {@code wss} connection trusts: {@code javax.net.ssl.trustStore} where JMeter is started with one, the system's
 * certificates otherwise. Read anew for every connection, as PEM for the engine.
 */
public final class TrustStore {
    private static final String PROPERTY = "javax.net.ssl.trustStore";

    private TrustStore() {
    }

    /**
     * Adds {@code trust} to a configuration of the engine.
     *
     * @param config gets it
     * @param verify false = everybody is trusted
     * @throws InvalidElementException naming the property of a trust store that cannot be read
     */
    public static void put(ObjectNode config, boolean verify) throws InvalidElementException {
        String path = System.getProperty(PROPERTY, "");
        if (!verify) {
            config.put("trust", "all");
        } else if (!path.isEmpty() && !"NONE".equals(path)) {
            config.putObject("trust").put("pem", certificates(load(path)));
        } else {
            config.put("trust", "system");
        }
    }

    private static KeyStore load(String path) throws InvalidElementException {
        String type = System.getProperty(PROPERTY + "Type", path.endsWith(".p12") ? "PKCS12" : KeyStore.getDefaultType());
        String password = System.getProperty(PROPERTY + "Password", "");
        try (InputStream in = Files.newInputStream(Paths.get(path))) {
            KeyStore store = KeyStore.getInstance(type);
            store.load(in, password.isEmpty() ? null : password.toCharArray());
            return store;
        } catch (IOException | GeneralSecurityException e) {
            throw new InvalidElementException(PROPERTY + ": '" + path + "' cannot be read: " + e.getMessage());
        }
    }

    private static String certificates(KeyStore store) throws InvalidElementException {
        StringBuilder pem = new StringBuilder();
        try {
            for (String alias : Collections.list(store.aliases())) {
                if (store.isCertificateEntry(alias)) {
                    Pem.append(pem, "CERTIFICATE", store.getCertificate(alias).getEncoded());
                }
            }
        } catch (GeneralSecurityException e) {
            throw new InvalidElementException(PROPERTY + ": a certificate cannot be read: " + e.getMessage());
        }
        return pem.toString();
    }
}
