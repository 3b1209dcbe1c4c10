package io.github.jmeterwebrtc;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** The border between the native library's UTF-8 bytes and Java's values. */
final class Json {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private Json() {
    }

    static JsonNode parse(byte[] utf8) {
        try {
            return MAPPER.readTree(utf8);
        } catch (IOException e) {
            throw new IllegalStateException("the native library gave text that is no JSON: " + text(utf8), e);
        }
    }

    static JsonNode parse(String json) {
        try {
            return MAPPER.readTree(json);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("the native library gave text that is no JSON: " + json, e);
        }
    }

    static String text(byte[] utf8) {
        return new String(utf8, StandardCharsets.UTF_8);
    }

    /** UTF-8 of an argument that must be there; {@code field} names it in the refusal. */
    static byte[] utf8(String field, String value) {
        if (value == null) {
            throw new IllegalArgumentException(field + ": 'null' is not usable: a text is needed");
        }
        return value.getBytes(StandardCharsets.UTF_8);
    }
}
