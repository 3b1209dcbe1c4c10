package io.github.jmeterwebrtc.jmeter.call;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
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
        "dtmf; `1,2`; ``; {\"command\":\"dtmf\",\"digits\":\"1,2\"}",
        "transfer; ``; +49 30 1; {\"command\":\"transfer\",\"to\":\"+49 30 1\"}",
        "restartIce; 12; x; {\"command\":\"restartIce\"}",
    })
    void aCommandTakesItsOwnFieldsOnly(String command, String digits, String to, String expected) throws Exception {
        assertEquals(expected, CallControlSampler.command(command, digits, to).toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "``; ``; ``; {\"command\":\"dtmf\"}",
        "auto; ``; ``; {\"command\":\"dtmf\",\"by\":\"auto\"}",
        "telephone-event; 60; 40; {\"command\":\"dtmf\",\"by\":\"telephone-event\",\"durationMs\":60,\"gapMs\":40}",
    })
    void whatIsSaidOfTonesIsPassedOn(String by, String duration, String gap, String expected) throws Exception {
        ObjectNode command = new ObjectMapper().createObjectNode().put("command", "dtmf");
        CallControlSampler.howToDial(command, by, duration, gap);
        assertEquals(expected, command.toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "post; ``; ``; dtmfBy: 'post'",
        "``; 39; ``; toneDuration: ",
        "``; ``; 6001; toneGap: ",
    })
    void tonesThatCannotBeAreRefused(String by, String duration, String gap, String message) {
        ObjectNode command = new ObjectMapper().createObjectNode();
        InvalidElementException refused = assertThrows(InvalidElementException.class,
                () -> CallControlSampler.howToDial(command, by, duration, gap));
        assertTrue(refused.getMessage().startsWith(message), refused.getMessage());
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
