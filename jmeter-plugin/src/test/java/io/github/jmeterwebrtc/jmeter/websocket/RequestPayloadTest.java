package io.github.jmeterwebrtc.jmeter.websocket;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(20)
class RequestPayloadTest {
    @ParameterizedTest
    @CsvSource({
        "0xca 0xFE,         cafe",
        "cafe ba be,        cafebabe",
        "abc,               ab0c",
        "0x1 02,            0102",
        "'',                ''",
    })
    void hexadecimalTextBecomesBytes(String text, String expected) throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte b : RequestPayload.binary(text)) {
            hex.append(String.format("%02x", b));
        }
        assertEquals(expected, hex.toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"zz", "0x100", "0xzz", "-1", "+f", "12 g0"})
    void otherTextIsRefusedByItsContent(String text) {
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> RequestPayload.of(PayloadType.Binary, text));
        assertEquals("Request data is not binary: " + text, refused.getMessage());
        assertEquals("Sampler Error", refused.code());
    }

    @Test
    void textIsUtf8() throws Exception {
        RequestPayload payload = RequestPayload.of(PayloadType.Text, "grüße^@");
        assertArrayEquals("grüße^@".getBytes(StandardCharsets.UTF_8), payload.bytes());
        assertEquals(Opcode.TEXT, payload.opcode());
    }

    @Test
    void stompTextEndsWithNul() throws Exception {
        RequestPayload payload = RequestPayload.of(PayloadType.TextStomp, "SEND\n\nx^@");
        assertArrayEquals("SEND\n\nx\0".getBytes(StandardCharsets.UTF_8), payload.bytes());
        assertEquals("SEND\n\nx^@", payload.shown());
    }

    @Test
    void aBinaryFileIsSentAsItIsAndShownUpToAHundredBytes(@TempDir Path directory) throws Exception {
        byte[] content = new byte[101];
        content[0] = (byte) 0xca;
        Path file = Files.write(directory.resolve("data.bin"), content);
        RequestPayload payload = RequestPayload.ofFile(PayloadType.Binary, file.toString());
        assertArrayEquals(content, payload.bytes());
        assertEquals("0xca 0x00", payload.shown().substring(0, 9));
        assertEquals(" ...", payload.shown().substring(payload.shown().length() - 4));
        assertEquals(100 * 5 - 1 + 4, payload.shown().length());
    }

    @Test
    void aMissingFileIsNamed() {
        InvalidElementException refused = assertThrows(
                InvalidElementException.class, () -> RequestPayload.ofFile(PayloadType.Text, "/nope/x"));
        assertEquals("Request data cannot be loaded, file '/nope/x' not found", refused.getMessage());
    }

    @Test
    void anUnreadableFileIsNamed(@TempDir Path directory) {
        InvalidElementException refused = assertThrows(
                InvalidElementException.class, () -> RequestPayload.ofFile(PayloadType.Text, directory.toString()));
        assertEquals("Request data cannot be loaded, file '" + directory + "' not readable", refused.getMessage());
    }
}
