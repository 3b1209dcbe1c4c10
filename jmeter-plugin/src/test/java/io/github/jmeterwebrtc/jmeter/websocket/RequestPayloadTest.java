package io.github.jmeterwebrtc.jmeter.websocket;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.io.IOException;
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
        for (byte b : payload(PayloadType.Binary, text).bytes()) {
            hex.append(String.format("%02x", b));
        }
        assertEquals(expected, hex.toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"zz", "0x100", "0xzz", "-1", "+f", "12 g0"})
    void otherTextIsRefusedByItsContent(String text) {
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> payload(PayloadType.Binary, text));
        assertEquals("Request data is not binary: " + text, refused.getMessage());
        assertEquals("Sampler Error", refused.code());
    }

    @Test
    void textIsUtf8() throws Exception {
        RequestPayload payload = payload(PayloadType.Text, "grüße^@");
        assertArrayEquals("grüße^@".getBytes(StandardCharsets.UTF_8), payload.bytes());
        assertEquals(Opcode.TEXT, payload.opcode());
    }

    @Test
    void stompTextEndsWithNul() throws Exception {
        RequestPayload payload = payload(PayloadType.TextStomp, "SEND\n\nx^@");
        assertArrayEquals("SEND\n\nx\0".getBytes(StandardCharsets.UTF_8), payload.bytes());
        assertEquals("SEND\n\nx\0", payload.shown());
    }

    @Test
    void aBinaryFileIsSentAsItIsAndShownUpToAHundredBytes(@TempDir Path directory) throws Exception {
        byte[] content = new byte[101];
        content[0] = (byte) 0xca;
        Path file = Files.write(directory.resolve("data.bin"), content);
        RequestPayload payload = ofFile(PayloadType.Binary, file.toString());
        assertArrayEquals(content, payload.bytes());
        assertEquals("0xca 0x00", payload.shown().substring(0, 9));
        assertEquals("0x00...", payload.shown().substring(payload.shown().length() - 7));
        assertEquals(100 * 5 - 1 + 3, payload.shown().length());
    }

    @Test
    void aMissingFileIsNamed() {
        InvalidElementException refused = assertThrows(
                InvalidElementException.class, () -> ofFile(PayloadType.Text, "/nope/x"));
        assertEquals("Request data cannot be loaded, file '/nope/x' not found", refused.getMessage());
    }

    @Test
    void aDirectoryIsNoFile(@TempDir Path directory) {
        IOException refused = assertThrows(IOException.class, () -> ofFile(PayloadType.Text, directory.toString()));
        assertEquals("Is a directory", refused.getMessage());
    }

    private static RequestPayload payload(PayloadType type, String data) throws Exception {
        SingleWriteSampler sampler = new SingleWriteSampler();
        sampler.setType(type);
        sampler.setRequestData(data);
        return RequestPayload.of(sampler);
    }

    private static RequestPayload ofFile(PayloadType type, String path) throws Exception {
        SingleWriteSampler sampler = new SingleWriteSampler();
        sampler.setType(type);
        sampler.setLoadDataFromFile(true);
        sampler.setDataFile(path);
        return RequestPayload.of(sampler);
    }
}
