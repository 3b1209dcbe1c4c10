package io.github.jmeterwebrtc.jmeter.websocket;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class WaitForMessageMatcherTest {
    @Test
    void eachMatchTypeIsAMatcherOfTheEngine() throws Exception {
        assertEquals("{\"text\":\"\\\"a\\\"\"}", WaitForMessageSampler.matcher("", "\"a\"", ""));
        assertEquals("{\"regex\":\"a+\"}", WaitForMessageSampler.matcher("regex", "a+", "ignored"));
        assertEquals("{\"jsonPath\":\"$.type\"}", WaitForMessageSampler.matcher("jsonPath", "$.type", ""));
        assertEquals("{\"jsonPath\":\"$.type\",\"value\":\"x\"}",
                WaitForMessageSampler.matcher("jsonPath", "$.type", "x"));
    }

    @Test
    void anUnknownMatchTypeIsNamed() {
        InvalidElementException refused = assertThrows(
                InvalidElementException.class, () -> WaitForMessageSampler.matcher("xpath", "x", ""));
        assertEquals("Match type ('matchType') 'xpath' is not one of text, regex, jsonPath.", refused.getMessage());
    }

    @Test
    void aRegularExpressionHasToBeThere() {
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> WaitForMessageSampler.matcher("regex", "", ""));
        assertEquals("Match value ('matchValue') is empty.", refused.getMessage());
    }
}
