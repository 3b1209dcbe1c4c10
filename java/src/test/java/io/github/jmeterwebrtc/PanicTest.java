package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PanicTest {
    private final Engine engine = Engine.get();

    @Test
    void aPanicOnTheJavaThreadIsAnExceptionWithItsTextAndTheNextCallWorks() {
        byte[] message = TestNatives.utf8("\u20ac \ud83d\ude00 text");
        EngineException panic = assertThrows(EngineException.class, () -> TestNatives.panic(message));
        assertEquals("NATIVE_PANIC", panic.code());
        assertTrue(panic.getMessage().contains("formatted \u20ac \ud83d\ude00 text"), panic.getMessage());
        assertTrue(engine.snapshot().has("softphones"));
    }

    @Test
    void aPanicWhereTheAnswerLiesInMemoryIsAnExceptionToo() {
        long memory = FrameMemory.ofThread().address();
        EngineException panic = assertThrows(EngineException.class, () -> TestNatives.panicInMemory(memory));
        assertEquals("NATIVE_PANIC", panic.code());
        assertTrue(panic.getMessage().contains("formatted in memory"), panic.getMessage());
        assertTrue(engine.snapshot().has("softphones"));
    }

    @Test
    void noMemoryIsAnIllegalArgument() {
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> TestNatives.panicInMemory(0));
        assertTrue(refused.getMessage().contains("memory"), refused.getMessage());
    }

    @Test
    void aPanicOfATaskIsAnExceptionOfTheCallThatWaitsForIt() {
        byte[] message = TestNatives.utf8("in a task");
        EngineException panic = assertThrows(EngineException.class, () -> TestNatives.panicOnRuntime(message));
        assertEquals("NATIVE_PANIC", panic.code());
        assertTrue(panic.getMessage().contains("formatted in a task"), panic.getMessage());
        assertTrue(engine.snapshot().has("generator"));
    }
}
