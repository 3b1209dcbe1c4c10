package io.github.jmeterwebrtc.jmeter.websocket.filter;

import java.io.ByteArrayOutputStream;

/**
 * Bytes written in hexadecimal, as request data, filters and assertions have them. Pure.
 *
 * <p>Tokens are separated by spaces. A token that begins with {@code 0x} is one byte (its lowest eight bits); any other
 * is read in pairs of digits, and an odd last digit is a byte of its own: {@code "abc 0x1"} is {@code ab 0c 01}.
 */
public final class HexBytes {
    private static final int RADIX = 16;

    private HexBytes() {
    }

    /**
     * Reads bytes.
     *
     * @param text hexadecimal text; empty = no bytes
     * @return the bytes
     * @throws NumberFormatException where a token is no hexadecimal number
     */
    public static byte[] parse(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(text.length() / 2);
        for (String token : text.split(" ")) {
            if (token.startsWith("0x")) {
                bytes.write(Integer.decode(token));
                continue;
            }
            for (int i = 0; i < token.length(); i += 2) {
                bytes.write(Integer.parseInt(token.substring(i, Math.min(i + 2, token.length())), RADIX));
            }
        }
        return bytes.toByteArray();
    }

    /**
     * Writes bytes as {@code 0xca 0xfe}.
     *
     * @param bytes the bytes
     * @param most how many to write; {@code ...} stands for the rest
     * @return empty for no bytes
     */
    public static String format(byte[] bytes, int most) {
        StringBuilder text = new StringBuilder(Math.min(bytes.length, most) * 5);
        for (int i = 0; i < Math.min(bytes.length, most); i++) {
            text.append(i == 0 ? "0x" : " 0x")
                    .append(Character.forDigit(bytes[i] >> 4 & 0xf, RADIX))
                    .append(Character.forDigit(bytes[i] & 0xf, RADIX));
        }
        return bytes.length > most ? text.append(" ...").toString() : text.toString();
    }
}
