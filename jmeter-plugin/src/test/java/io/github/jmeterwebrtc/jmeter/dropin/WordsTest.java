package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.Opcode;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(10)
class WordsTest {
    @Test
    void framesAreDescribedAsAssertionsKnowThem() {
        assertEquals("Text frame with text 'x'", FrameWords.of(Opcode.TEXT, utf8("x")));
        assertEquals("Binary frame, empty payload", FrameWords.of(Opcode.BINARY, new byte[0]));
        assertEquals("Binary frame, payload (length 2): 0xca 0xfe", FrameWords.of(Opcode.BINARY, new byte[] {-54, -2}));
        assertTrue(FrameWords.of(Opcode.BINARY, new byte[17]).endsWith("0x00 ..."));
        assertEquals("Ping frame with no application data", FrameWords.of(Opcode.PING, new byte[0]));
        assertEquals("Pong frame with application data 'x'", FrameWords.of(Opcode.PONG, utf8("x")));
    }

    @Test
    void aCloseFrameWithoutStatusOrReasonSaysNull() {
        assertEquals("Close frame with status code null and close reason 'null'", FrameWords.of(Opcode.CLOSE, new byte[1]));
        assertEquals("Close frame with status code 1000 and close reason 'null'",
                FrameWords.of(Opcode.CLOSE, new byte[] {3, -24}));
        assertEquals(Integer.valueOf(-1), FrameWords.closeStatus(new byte[] {-1, -1}));
        assertNull(FrameWords.closeReason(new byte[] {3, -24}));
        byte[] frame = CloseFrame.payload(1001, "bye");
        assertEquals("Close frame with status code 1001 and close reason 'bye'", FrameWords.of(Opcode.CLOSE, frame));
    }

    @ParameterizedTest
    @CsvSource({"TEXT, true, text", "TEXT, false, non-final text", "BINARY, false, non-final binary",
        "CONTINUATION, true, final continuation", "CONTINUATION, false, continuation", "PING, true, ping"})
    void typesAreNamedAsInUnexpectedFrameType(Opcode opcode, boolean isFinal, String words) {
        assertEquals(words, FrameWords.type(opcode, isFinal));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
