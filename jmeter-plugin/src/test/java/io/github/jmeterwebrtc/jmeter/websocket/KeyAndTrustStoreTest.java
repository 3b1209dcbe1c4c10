package io.github.jmeterwebrtc.jmeter.websocket;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.concurrent.TimeUnit;
import org.apache.jmeter.util.SSLManager;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class KeyAndTrustStoreTest {
    private static final String[] PROPERTIES = {
        "javax.net.ssl.trustStore", "javax.net.ssl.trustStorePassword", "javax.net.ssl.trustStoreType",
        "javax.net.ssl.keyStore", "javax.net.ssl.keyStorePassword", "javax.net.ssl.keyStoreType",
    };

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void forgetStores() {
        for (String property : PROPERTIES) {
            System.clearProperty(property);
        }
        SSLManager.reset();
    }

    @Test
    void jmetersKeyStoreBecomesTheClientCertificate(@TempDir Path directory) throws Exception {
        Path store = directory.resolve("client.p12");
        keytool("-genkeypair", "-alias", "me", "-keyalg", "EC", "-dname", "CN=softphone", "-keystore", store.toString(),
                "-storetype", "PKCS12", "-storepass", "changeit");
        System.setProperty("javax.net.ssl.keyStore", store.toString());
        System.setProperty("javax.net.ssl.keyStorePassword", "changeit");
        ObjectNode config = new ObjectMapper().createObjectNode();
        SSLManager.reset();
        TrustStore.put(config, true);
        ClientIdentity.put(config);
        assertEquals("system", config.path("trust").asText());
        assertTrue(config.path("clientCertificate").path("chainPem").asText().startsWith("-----BEGIN CERTIFICATE-----\n"));
        assertTrue(config.path("clientCertificate").path("keyPem").asText().startsWith("-----BEGIN PRIVATE KEY-----\n"));
    }

    @Test
    void jmetersTrustStoreReplacesTheSystemsCertificates(@TempDir Path directory) throws Exception {
        Path store = directory.resolve("server.p12");
        Path certificate = directory.resolve("server.crt");
        Path trust = directory.resolve("trust.p12");
        keytool("-genkeypair", "-alias", "s", "-keyalg", "EC", "-dname", "CN=server", "-keystore", store.toString(),
                "-storetype", "PKCS12", "-storepass", "changeit");
        keytool("-exportcert", "-alias", "s", "-keystore", store.toString(), "-storepass", "changeit", "-file",
                certificate.toString());
        keytool("-importcert", "-noprompt", "-alias", "s", "-file", certificate.toString(), "-keystore", trust.toString(),
                "-storetype", "PKCS12", "-storepass", "changeit");
        System.setProperty("javax.net.ssl.trustStore", trust.toString());
        System.setProperty("javax.net.ssl.trustStorePassword", "changeit");
        ObjectNode config = new ObjectMapper().createObjectNode();
        TrustStore.put(config, true);
        assertTrue(config.path("trust").path("pem").asText().startsWith("-----BEGIN CERTIFICATE-----\n"));
    }

    @Test
    void aStoreThatCannotBeReadIsNamed() {
        System.setProperty("javax.net.ssl.trustStore", "/nope/trust.p12");
        InvalidElementException refused = assertThrows(InvalidElementException.class,
                () -> TrustStore.put(new ObjectMapper().createObjectNode(), true));
        assertTrue(refused.getMessage().startsWith("javax.net.ssl.trustStore: '/nope/trust.p12' cannot be read"),
                refused.getMessage());
    }

    private static void keytool(String... arguments) throws Exception {
        String[] command = new String[arguments.length + 1];
        command[0] = Paths.get(System.getProperty("java.home"), "bin", "keytool").toString();
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        assertTrue(process.waitFor(30, TimeUnit.SECONDS), "keytool hangs");
        assertEquals(0, process.exitValue());
    }
}
