package io.github.jmeterwebrtc.jmeter.assertion;

import io.github.jmeterwebrtc.jmeter.websocket.filter.ByteSequence;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import org.apache.jmeter.assertions.Assertion;
import org.apache.jmeter.assertions.AssertionResult;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.testelement.AbstractScopedAssertion;

/** Compares the bytes of a response with a value in hexadecimal. */
public class BinaryResponseAssertion extends AbstractScopedAssertion implements Assertion {
    private static final long serialVersionUID = 1L;

    /** One of {@link ComparisonType} (default Contains). */
    public static final String COMPARISON_TYPE = "comparisonType";
    /** Bytes in hexadecimal, see {@link HexBytes} (default empty). */
    public static final String COMPARE_VALUE = "compareValue";

    /** What has to hold. The names are in plan files. */
    public enum ComparisonType {
        /** The response is the value. */
        Equals("equal"),
        /** The value stands in the response. */
        Contains("contain"),
        /** The response starts with the value. */
        StartsWith("start with"),
        /** The response is not the value. */
        NotEquals("equal"),
        /** The value does not stand in the response. */
        NotContains("contain"),
        /** The response does not start with the value. */
        NotStartsWith("start with");

        private final String verb;

        ComparisonType(String verb) {
            this.verb = verb;
        }

        private boolean isNegated() {
            return ordinal() >= NotEquals.ordinal();
        }

        private boolean holds(byte[] response, byte[] value) {
            switch (this) {
                case Equals:
                case NotEquals:
                    return ByteSequence.equal(response, value) != isNegated();
                case Contains:
                case NotContains:
                    return ByteSequence.contains(response, value) != isNegated();
                default:
                    return ByteSequence.isAt(response, value, 0) != isNegated();
            }
        }

        private String expectation() {
            return (isNegated() ? "not to " : "to ") + verb;
        }
    }

    /** Throws {@link IllegalArgumentException} for a value or comparison that is none; JMeter reports it as an error. */
    @Override
    public AssertionResult getResult(SampleResult response) {
        AssertionResult result = new AssertionResult(getName());
        byte[] data = response.getResponseData();
        byte[] value = HexBytes.parse(getCompareValue());
        ComparisonType comparison = getComparisonType();
        if (!comparison.holds(data, value)) {
            result.setFailure(true);
            result.setFailureMessage("Response expected " + comparison.expectation() + " "
                    + HexBytes.format(value, Integer.MAX_VALUE)
                    + "\nResponse was: " + HexBytes.format(data, Integer.MAX_VALUE));
        }
        return result;
    }

    /** @return {@link #COMPARISON_TYPE}; throws {@link IllegalArgumentException} when it is none of them */
    public ComparisonType getComparisonType() {
        String type = getPropertyAsString(COMPARISON_TYPE);
        return type.isEmpty() ? ComparisonType.Contains : ComparisonType.valueOf(type);
    }

    /** @param type {@link #COMPARISON_TYPE} */
    public void setComparisonType(ComparisonType type) {
        setProperty(COMPARISON_TYPE, type.name());
    }

    /** @return {@link #COMPARE_VALUE} */
    public String getCompareValue() {
        return getPropertyAsString(COMPARE_VALUE);
    }

    /** @param value {@link #COMPARE_VALUE} */
    public void setCompareValue(String value) {
        setProperty(COMPARE_VALUE, value);
    }
}
