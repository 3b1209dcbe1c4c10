package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.util.Collections;
import org.apache.jmeter.protocol.http.control.Header;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class UpgradeHeadersTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @ParameterizedTest
    @CsvSource({"X-A, 'a\r\nX-B: b'", "X-A, 'a\rb'", "X-A, 'a\nb'", "'X-A\nX-B', b", "'X-A\r', b"})
    void aHeaderWithALineBreakIsRefused(String name, String value) {
        UpgradeHeaders headers = headers(name, value);
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, headers::sent);
        assertEquals("Invalid header; contains new line.", refused.getMessage());
    }

    @Test
    void aHeaderOfTheHandshakeIsShownButNotSentWhateverIsInIt() {
        UpgradeHeaders headers = headers("Upgrade", "h2c\r\nX-B: b");
        assertEquals("Upgrade: h2c\r\nX-B: b", headers.lines());
        assertEquals(Collections.emptyMap(), headers.sent());
    }

    @Test
    void aHeaderWithoutLineBreakIsSentAsItIs() {
        assertEquals(Collections.singletonMap("X-A", " a\tb"), headers("X-A", " a\tb").sent());
    }

    private static UpgradeHeaders headers(String name, String value) {
        HeaderManager manager = new HeaderManager();
        manager.add(new Header(name, value));
        return UpgradeHeaders.of(manager, null, null);
    }
}
