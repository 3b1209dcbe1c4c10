package io.github.jmeterwebrtc.jmeter.dropin;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.security.PrivateKey;
import java.security.cert.CertificateEncodingException;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.jmeter.util.SSLManager;
import org.apache.jmeter.util.keystore.JmeterKeyStore;

/**
 * The client certificate that JMeter's SSL Manager would present: key store, Keystore Configuration and alias variable
 * are JMeter's own business; only the chosen entry is handed to the engine, as PEM.
 *
 * <p>PEM texts are kept by alias for the time of a test, since a key store does not change within one. Nothing is logged.
 */
final class ClientIdentity {
    private static final Base64.Encoder PEM = Base64.getMimeEncoder(64, new byte[] {'\n'});

    private final Map<String, String[]> byAlias = new ConcurrentHashMap<>();

    /**
     * Adds {@code clientCertificate} to a socket configuration, if JMeter has one for this thread.
     *
     * @throws IOException when the key store cannot be read
     */
    void put(ObjectNode config) throws IOException {
        JmeterKeyStore store = keyStore();
        String alias = store == null || store.getAliasCount() == 0 ? null : store.getAlias();
        if (alias == null || alias.isEmpty()) {
            return;
        }
        String[] pem = byAlias.get(alias);
        if (pem == null) {
            pem = pem(store, alias);
            byAlias.put(alias, pem);
        }
        config.putObject("clientCertificate").put("chainPem", pem[0]).put("keyPem", pem[1]);
    }

    /** JMeter gives its key store to subclasses of SSLManager only. */
    private static JmeterKeyStore keyStore() throws IOException {
        try {
            Method getKeyStore = SSLManager.class.getDeclaredMethod("getKeyStore");
            getKeyStore.setAccessible(true);
            return (JmeterKeyStore) getKeyStore.invoke(SSLManager.getInstance());
        } catch (InvocationTargetException e) {
            throw new IOException("The key store cannot be read: " + e.getCause().getMessage(), e.getCause());
        } catch (ReflectiveOperationException e) {
            throw new IOException("This JMeter does not give away its key store: " + e.getMessage(), e);
        }
    }

    private static String[] pem(JmeterKeyStore store, String alias) throws IOException {
        X509Certificate[] chain = store.getCertificateChain(alias);
        PrivateKey key = store.getPrivateKey(alias);
        if (chain == null || key == null || key.getEncoded() == null) {
            throw new IOException("The key store has no usable key under the alias '" + alias + "'");
        }
        StringBuilder certificates = new StringBuilder();
        try {
            for (X509Certificate certificate : chain) {
                append(certificates, "CERTIFICATE", certificate.getEncoded());
            }
        } catch (CertificateEncodingException e) {
            throw new IOException("The certificate '" + alias + "' cannot be read: " + e.getMessage(), e);
        }
        StringBuilder privateKey = new StringBuilder();
        append(privateKey, "PRIVATE KEY", key.getEncoded());
        return new String[] {certificates.toString(), privateKey.toString()};
    }

    private static void append(StringBuilder pem, String kind, byte[] der) {
        pem.append("-----BEGIN ").append(kind).append("-----\n")
                .append(new String(PEM.encode(der), StandardCharsets.US_ASCII))
                .append("\n-----END ").append(kind).append("-----\n");
    }
}
