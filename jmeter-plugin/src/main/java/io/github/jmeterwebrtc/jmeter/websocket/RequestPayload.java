package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;

/** The frame that request data make. Reading a file apart, pure. */
final class RequestPayload {
    /** Response code for request data that make no frame: with a capital E, unlike the other one. */
    static final String BAD_DATA = "Sampler Error";

    private static final int SHOWN_BYTES = 100;

    private final PayloadType type;
    private final byte[] bytes;
    private final String shown;

    private RequestPayload(PayloadType type, byte[] bytes, String shown) {
        this.type = type;
        this.bytes = bytes;
        this.shown = shown;
    }

    /** From the text of the plan. */
    static RequestPayload of(PayloadType type, String data) throws InvalidElementException {
        if (type == PayloadType.Binary) {
            return new RequestPayload(type, binary(data), data);
        }
        String text = type == PayloadType.TextStomp ? data.replace("^@", "\0") : data;
        return new RequestPayload(type, text.getBytes(StandardCharsets.UTF_8), data);
    }

    /** From a file: bytes as they are, text as UTF-8, no variable is replaced. */
    static RequestPayload ofFile(PayloadType type, String name) throws InvalidElementException {
        File file = new File(name);
        if (!file.exists()) {
            throw badData("Request data cannot be loaded, file '" + name + "' not found");
        }
        byte[] content;
        try {
            content = Files.readAllBytes(file.toPath());
        } catch (IOException e) {
            throw badData("Request data cannot be loaded, file '" + name + "' not readable");
        }
        if (type == PayloadType.Binary) {
            return new RequestPayload(type, content, FrameText.hex(content, SHOWN_BYTES));
        }
        return of(type, new String(content, StandardCharsets.UTF_8));
    }

    Opcode opcode() {
        return type == PayloadType.Binary ? Opcode.BINARY : Opcode.TEXT;
    }

    byte[] bytes() {
        return bytes;
    }

    /** As it stands in "Request data:". */
    String shown() {
        return shown;
    }

    /** {@code 0x} tokens are one byte each, others are pairs of hex digits with an odd last digit as a byte of its own. */
    static byte[] binary(String text) throws InvalidElementException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (String token : text.trim().split("\\s+")) {
            if (token.isEmpty()) {
                continue;
            }
            try {
                if (token.startsWith("0x") || token.startsWith("0X")) {
                    int value = Integer.decode(token);
                    if (value > 0xff) {
                        throw badData("Request data is not binary: " + text);
                    }
                    bytes.write(value);
                } else {
                    for (int i = 0; i < token.length(); i += 2) {
                        bytes.write(hexByte(token.substring(i, Math.min(i + 2, token.length()))));
                    }
                }
            } catch (NumberFormatException e) {
                throw badData("Request data is not binary: " + text);
            }
        }
        return bytes.toByteArray();
    }

    private static int hexByte(String digits) {
        for (int i = 0; i < digits.length(); i++) {
            if (Character.digit(digits.charAt(i), 16) < 0) {
                throw new NumberFormatException(digits);
            }
        }
        return Integer.parseInt(digits, 16);
    }

    private static InvalidElementException badData(String message) {
        return new InvalidElementException(BAD_DATA, message);
    }
}
