package io.github.jmeterwebrtc;

import java.nio.charset.StandardCharsets;

/** Natives that only a library built with the feature {@code test-natives} has. */
final class TestNatives {
    private TestNatives() {
    }

    static native void panic(byte[] message);

    static native void panicOnRuntime(byte[] message);

    static native byte[] panicInMemory(long memory);

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
