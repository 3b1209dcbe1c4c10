package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.assertion.BinaryResponseAssertion;

/** Binary Response Assertion of existing plans. */
public class BinaryContentAssertion extends BinaryResponseAssertion {
    private static final long serialVersionUID = 1L;

    @Override
    public ComparisonType getComparisonType() {
        return OldEnum.valueOf("eu.luminis.jmeter.assertions.BinaryContentAssertion.ComparisonType",
                super::getComparisonType, getPropertyAsString(COMPARISON_TYPE));
    }
}
