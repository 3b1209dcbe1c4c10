package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.websocket.PayloadType;
import io.github.jmeterwebrtc.jmeter.websocket.RequestSampler;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.commons.io.IOUtils;

/** What a sampler sends, and how it stands in the sampler data. Immutable. */
final class RequestData {
    private static final String BAD_DATA = "Sampler Error";
    private static final int SHOWN_BYTES = 100;

    private final Opcode opcode;
    private final byte[] bytes;
    private final String shown;

    private RequestData(Opcode opcode, byte[] bytes, String shown) {
        this.opcode = opcode;
        this.bytes = bytes;
        this.shown = shown;
    }

    /**
     * What a sampler sends.
     *
     * @throws InvalidElementException when its data make no frame
     * @throws IOException when its file cannot be read
     */
    static RequestData of(RequestSampler sampler) throws InvalidElementException, IOException {
        PayloadType type = sampler.getType();
        return sampler.getLoadDataFromFile()
                ? ofFile(type, sampler.getDataFile())
                : ofText(type, sampler.getRequestData());
    }

    /**
     * Request data from the plan.
     *
     * @throws InvalidElementException when they are to be hexadecimal and are not
     */
    private static RequestData ofText(PayloadType type, String text) throws InvalidElementException {
        if (type != PayloadType.Binary) {
            return text(type == PayloadType.TextStomp ? text.replace("^@", "\0") : text);
        }
        try {
            return new RequestData(Opcode.BINARY, HexBytes.parse(text), text);
        } catch (NumberFormatException e) {
            throw new InvalidElementException(BAD_DATA, "Request data is not binary: " + text);
        }
    }

    /**
     * Request data from a file: bytes as they are, text as UTF-8; no variable is replaced.
     *
     * @throws InvalidElementException when there is no such file, or it may not be read
     * @throws IOException when reading fails
     */
    private static RequestData ofFile(PayloadType type, String path) throws InvalidElementException, IOException {
        File file = new File(path).getAbsoluteFile();
        if (!file.exists()) {
            throw new InvalidElementException(BAD_DATA, "Request data cannot be loaded, file '" + path + "' not found");
        }
        if (!file.canRead()) {
            throw new InvalidElementException(BAD_DATA, "Request data cannot be loaded, file '" + path + "' not readable");
        }
        if (file.isDirectory()) {
            throw new IOException("Is a directory");
        }
        byte[] content;
        try (InputStream in = new FileInputStream(file)) {
            content = IOUtils.toByteArray(in);
        }
        return type == PayloadType.Binary
                ? new RequestData(Opcode.BINARY, content, shown(content))
                : text(new String(content, StandardCharsets.UTF_8));
    }

    private static String shown(byte[] content) {
        String hex = HexBytes.format(Arrays.copyOf(content, Math.min(content.length, SHOWN_BYTES)), SHOWN_BYTES);
        return content.length > SHOWN_BYTES ? hex + "..." : hex;
    }

    private static RequestData text(String text) {
        return new RequestData(Opcode.TEXT, text.getBytes(StandardCharsets.UTF_8), text);
    }

    Opcode opcode() {
        return opcode;
    }

    byte[] bytes() {
        return bytes;
    }

    String shown() {
        return shown;
    }
}
