package io.github.jmeterwebrtc.jmeter.dropin;

import java.util.function.Supplier;

/** A value that is none, in the words that results have always had for it. */
final class OldEnum {
    private OldEnum() {
    }

    static <T> T valueOf(String oldType, Supplier<T> value, String text) {
        try {
            return value.get();
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("No enum constant " + oldType + "." + text, e);
        }
    }
}
