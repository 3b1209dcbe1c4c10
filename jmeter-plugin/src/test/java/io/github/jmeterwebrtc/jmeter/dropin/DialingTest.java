package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.websocket.Surroundings;
import io.github.jmeterwebrtc.jmeter.websocket.WebSocketSampler;
import java.io.IOException;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class DialingTest {
    private static final String TRUST_STORE = "javax.net.ssl.trustStore";

    private final WebSocketSampler sampler = new OpenWebSocketSampler();

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void forgetSettings() {
        JMeterUtils.getJMeterProperties().remove(Behaviour.VERIFY);
        System.clearProperty(TRUST_STORE);
    }

    @Test
    void whoeverAnswersIsTrustedUnlessSomebodySaysOtherwise() throws Exception {
        assertEquals("all", config(true, false).path("trust").asText());
        assertEquals("system", config(true, true).path("trust").asText());
        assertTrue(config(false, true).path("trust").isMissingNode(), "there is nothing to verify without TLS");
    }

    @Test
    void aTrustStoreThatCannotBeReadIsNamed() {
        System.setProperty(TRUST_STORE, "/nope/trust.p12");
        IOException refused = assertThrows(IOException.class, () -> config(true, true));
        assertTrue(refused.getMessage().startsWith("javax.net.ssl.trustStore: '/nope/trust.p12' cannot be read"), refused.getMessage());
    }

    @Test
    void verificationIsAPropertyOfItsOwnInBothModes() {
        assertEquals(false, Behaviour.ofProperties().verifiesCertificates());
        JMeterUtils.setProperty(Behaviour.VERIFY, "true");
        assertEquals(true, Behaviour.ofProperties().verifiesCertificates());
        JMeterUtils.setProperty(Behaviour.COMPAT, "strict");
        try {
            assertEquals(true, Behaviour.ofProperties().verifiesCertificates());
        } finally {
            JMeterUtils.getJMeterProperties().remove(Behaviour.COMPAT);
        }
    }

    private JsonNode config(boolean tls, boolean verify) throws Exception {
        sampler.setTLS(tls);
        sampler.setServer("127.0.0.1");
        try (DropInTest test = new DropInTest()) {
            return new ObjectMapper().readTree(Dialing.config(Address.of(sampler), UpgradeHeaders.of(null, null, null),
                    new Surroundings(), test, verify, null));
        }
    }
}
