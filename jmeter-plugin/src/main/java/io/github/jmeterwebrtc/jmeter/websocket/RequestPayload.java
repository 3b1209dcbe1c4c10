package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.commons.io.IOUtils;

/** The frame that request data make, and how they stand in the sampler data. Immutable. */
public final class RequestPayload {
    /** Response code for request data that make no frame: with a capital E, unlike the other one. */
    private static final String BAD_DATA = "Sampler Error";

    private static final int SHOWN_BYTES = 100;

    private final Opcode opcode;
    private final byte[] bytes;
    private final String shown;

    private RequestPayload(Opcode opcode, byte[] bytes, String shown) {
        this.opcode = opcode;
        this.bytes = bytes;
        this.shown = shown;
    }

    /**
     * What a sampler sends: its request data, or the content of its file (bytes as they are, text as UTF-8, no variable
     * replaced).
     *
     * @param sampler the sampler
     * @return one frame
     * @throws InvalidElementException when the data are to be hexadecimal and are not, or there is no such file, or it may
     *     not be read
     * @throws IOException when reading the file fails
     */
    public static RequestPayload of(RequestSampler sampler) throws InvalidElementException, IOException {
        PayloadType type = sampler.getType();
        if (sampler.getLoadDataFromFile()) {
            byte[] content = content(sampler.getDataFile());
            return type == PayloadType.Binary
                    ? new RequestPayload(Opcode.BINARY, content, shown(content))
                    : text(new String(content, StandardCharsets.UTF_8));
        }
        String data = sampler.getRequestData();
        if (type != PayloadType.Binary) {
            return text(type == PayloadType.TextStomp ? data.replace("^@", "\0") : data);
        }
        try {
            return new RequestPayload(Opcode.BINARY, sampler.bytesOfHex(data), data);
        } catch (NumberFormatException e) {
            throw new InvalidElementException(BAD_DATA, "Request data is not binary: " + data);
        }
    }

    private static byte[] content(String path) throws InvalidElementException, IOException {
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
        try (InputStream in = new FileInputStream(file)) {
            return IOUtils.toByteArray(in);
        }
    }

    private static String shown(byte[] content) {
        String hex = HexBytes.format(Arrays.copyOf(content, Math.min(content.length, SHOWN_BYTES)), SHOWN_BYTES);
        return content.length > SHOWN_BYTES ? hex + "..." : hex;
    }

    private static RequestPayload text(String text) {
        return new RequestPayload(Opcode.TEXT, text.getBytes(StandardCharsets.UTF_8), text);
    }

    /**
     * Kind of the frame.
     *
     * @return TEXT or BINARY
     */
    public Opcode opcode() {
        return opcode;
    }

    /**
     * Payload of the frame.
     *
     * @return not a copy
     */
    public byte[] bytes() {
        return bytes;
    }

    /**
     * As it stands in "Request data:".
     *
     * @return of a binary file the first {@value #SHOWN_BYTES} bytes
     */
    public String shown() {
        return shown;
    }
}
