package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.security.PrivateKey;
import java.security.cert.CertificateEncodingException;
import java.security.cert.X509Certificate;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.jmeter.util.SSLManager;
import org.apache.jmeter.util.keystore.JmeterKeyStore;

/**
 * The client certificate that JMeter's SSL Manager would present: key store ({@code javax.net.ssl.keyStore}), Keystore
 * Configuration and alias variable are JMeter's own business; only the chosen entry is handed to the engine, as PEM.
 *
 * <p>PEM texts are kept as long as JMeter keeps the key store they come from, since that does not change. Nothing is
 * logged. Thread safe.
 */
public final class ClientIdentity {
    private static final Map<JmeterKeyStore, Map<String, String[]>> BY_STORE =
            Collections.synchronizedMap(new WeakHashMap<>());

    private ClientIdentity() {
    }

    /**
     * Adds {@code clientCertificate} to a socket configuration, if JMeter has one for the calling thread.
     *
     * @param config the configuration
     * @throws IOException when the key store cannot be read
     */
    public static void put(ObjectNode config) throws IOException {
        JmeterKeyStore store = keyStore();
        String alias = store == null || store.getAliasCount() == 0 ? null : store.getAlias();
        if (alias == null || alias.isEmpty()) {
            return;
        }
        Map<String, String[]> byAlias = BY_STORE.computeIfAbsent(store, ignored -> new ConcurrentHashMap<>());
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
                Pem.append(certificates, "CERTIFICATE", certificate.getEncoded());
            }
        } catch (CertificateEncodingException e) {
            throw new IOException("The certificate '" + alias + "' cannot be read: " + e.getMessage(), e);
        }
        StringBuilder privateKey = new StringBuilder();
        Pem.append(privateKey, "PRIVATE KEY", key.getEncoded());
        return new String[] {certificates.toString(), privateKey.toString()};
    }
}
