package io.github.jmeterwebrtc.jmeter.softphone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class ProfileParametersTest {
    @Test
    void linesBecomeNamesAndValuesInTheirOrder() throws Exception {
        assertEquals("{token=a=b==, api=http://127.0.0.1:1, empty=}",
                ProfileParameters.parse("\r\n token = a=b== \r\n# a comment = no\n\napi=http://127.0.0.1:1\rempty=").toString());
    }

    @Test
    void noTextIsNoParameter() throws Exception {
        assertEquals("{}", ProfileParameters.parse("").toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "secret; parameters: line 1 is not name=value",
        "=secret; parameters: line 1 is not name=value",
        "my token=secret; parameters: line 1 is not name=value",
        "a=1|a=secret; parameters: line 2: 'a' is there twice",
        "a=1|token=secret${token}; parameters: line 2: the value of 'token' holds a ${…} that JMeter did not replace: there is no such variable yet",
    })
    void whatCannotBeUsedIsNamedByItsLineAndNeverByItsValue(String lines, String message) {
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> ProfileParameters.parse(lines.replace('|', '\n')));
        assertEquals(message, refused.getMessage());
        assertFalse(refused.getMessage().contains("secret"));
    }
}
