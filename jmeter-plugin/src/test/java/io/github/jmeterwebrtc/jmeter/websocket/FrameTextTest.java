package io.github.jmeterwebrtc.jmeter.websocket;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.jmeterwebrtc.Opcode;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class FrameTextTest {
    @Test
    void dataFramesReadAsPlansExpectThem() {
        assertEquals("Text frame with text 'x y'", FrameText.describe(Opcode.TEXT, true, utf8("x y")));
        assertEquals("Binary frame, payload (length 4): 0xca 0xfe 0xba 0xbe",
                FrameText.describe(Opcode.BINARY, true, new byte[] {(byte) 0xca, (byte) 0xfe, (byte) 0xba, (byte) 0xbe}));
    }

    @Test
    void longBinaryFramesShowSixteenBytes() {
        String text = FrameText.describe(Opcode.BINARY, true, new byte[17]);
        assertEquals("Binary frame, payload (length 17): "
                + "0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 ...", text);
    }

    @Test
    void controlFramesReadAsPlansExpectThem() {
        assertEquals("Ping frame with no application data", FrameText.describe(Opcode.PING, true, new byte[0]));
        assertEquals("Pong frame with application data 'PP'", FrameText.describe(Opcode.PONG, true, utf8("PP")));
        byte[] close = {(byte) 0x03, (byte) 0xe9, 's', 'r', 'v'};
        assertEquals("Close frame with status code 1001 and close reason 'srv'",
                FrameText.describe(Opcode.CLOSE, true, close));
    }

    @Test
    void anEmptyCloseFrameHasStatus1005() {
        assertEquals("Close frame with status code 1005 and close reason ''",
                FrameText.describe(Opcode.CLOSE, true, new byte[0]));
    }

    @Test
    void typeNamesTellFragments() {
        assertEquals("text", FrameText.typeName(Opcode.TEXT, true));
        assertEquals("non-final text", FrameText.typeName(Opcode.TEXT, false));
        assertEquals("ping", FrameText.typeName(Opcode.PING, true));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
