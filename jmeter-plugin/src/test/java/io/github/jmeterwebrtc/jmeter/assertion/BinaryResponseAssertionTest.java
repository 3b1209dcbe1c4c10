package io.github.jmeterwebrtc.jmeter.assertion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import org.apache.jmeter.assertions.AssertionResult;
import org.apache.jmeter.samplers.SampleResult;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(10)
class BinaryResponseAssertionTest {
    @ParameterizedTest
    @CsvSource({"Equals, cafe00, true", "Equals, cafe, false", "Contains, fe, true", "Contains, '', false", "StartsWith, ca, true",
        "StartsWith, '', true", "NotEquals, cafe, true", "NotContains, fe, false", "NotContains, '', true",
        "NotStartsWith, ca, false", "NotStartsWith, fe, true"})
    void theComparisonHoldsOrFails(BinaryResponseAssertion.ComparisonType comparison, String value, boolean holds) {
        assertEquals(holds, !result(comparison, value).isFailure());
    }

    @Test
    void aFailureSaysWhatWasExpectedAndWhatCame() {
        AssertionResult result = result(BinaryResponseAssertion.ComparisonType.NotStartsWith, "ca");
        assertEquals("Response expected not to start with 0xca\nResponse was: 0xca 0xfe 0x00", result.getFailureMessage());
    }

    @Test
    void aValueThatIsNotHexadecimalIsAnError() {
        assertThrows(NumberFormatException.class, () -> result(BinaryResponseAssertion.ComparisonType.Equals, "zz"));
    }

    private static AssertionResult result(BinaryResponseAssertion.ComparisonType comparison, String value) {
        BinaryResponseAssertion assertion = new BinaryResponseAssertion();
        assertion.setName("binary");
        assertion.setComparisonType(comparison);
        assertion.setCompareValue(value);
        SampleResult response = new SampleResult();
        response.setResponseData(HexBytes.parse("cafe00"));
        return assertion.getResult(response);
    }
}
