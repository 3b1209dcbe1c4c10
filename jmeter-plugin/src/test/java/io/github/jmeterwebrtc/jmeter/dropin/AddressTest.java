package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.websocket.WebSocketSampler;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class AddressTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @ParameterizedTest
    @CsvSource({"true, 80, true", "false, 443, true", "false, 80, false", "true, 443, false", "true, 8080, false"})
    void thePortOfTheOtherSchemeIsKnown(boolean tls, String port, boolean odd) throws Exception {
        WebSocketSampler sampler = new OpenWebSocketSampler();
        sampler.setTLS(tls);
        sampler.setServer("host.example");
        sampler.setPort(port);
        assertEquals(odd, Address.of(sampler).hasPortOfTheOtherScheme());
    }
}
