package io.github.jmeterwebrtc.jmeter.call;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class CallControlSamplerTest {
    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "``; ``; ``; {\"command\":\"mute\"}",
        "unmute; 12; x; {\"command\":\"unmute\"}",
        "hold; ``; ``; {\"command\":\"hold\"}",
        "resume; ``; ``; {\"command\":\"resume\"}",
        "dtmf; 12#*AD; ``; {\"command\":\"dtmf\",\"digits\":\"12#*AD\"}",
        "transfer; ``; +49 30 1; {\"command\":\"transfer\",\"to\":\"+49 30 1\"}",
    })
    void aCommandTakesItsOwnFieldsOnly(String command, String digits, String to, String expected) throws Exception {
        assertEquals(expected, CallControlSampler.command(command, digits, to).toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "park; ``; ``; command: 'park'",
        "dtmf; ``; ``; digits: ''",
        "dtmf; 12x; ``; digits: '12x'",
        "transfer; ``; ``; to: it is empty",
    })
    void whatCannotBeUsedIsNamed(String command, String digits, String to, String message) {
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> CallControlSampler.command(command, digits, to));
        assertTrue(refused.getMessage().startsWith(message), refused.getMessage());
    }
}
