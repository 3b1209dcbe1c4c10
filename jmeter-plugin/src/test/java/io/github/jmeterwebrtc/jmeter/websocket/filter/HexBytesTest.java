package io.github.jmeterwebrtc.jmeter.websocket.filter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(10)
class HexBytesTest {
    @ParameterizedTest
    @CsvSource({"cafe, 0xca 0xfe", "ca fe, 0xca 0xfe", "0xca fe 1, 0xca 0xfe 0x01", "abc, 0xab 0x0c", "0x1ff, 0xff",
        "' ca  fe ', 0xca 0xfe", "CA, 0xca", "-1, 0xff", "'', ''", "' ', ''"})
    void tokensArePairsOfDigitsOrOneByteEach(String text, String bytes) {
        assertEquals(bytes, HexBytes.format(HexBytes.parse(text), 100));
    }

    @ParameterizedTest
    @ValueSource(strings = {"zz", "0x", "0xg", "0Xff", "ff,00", "ca\tfe", "0x-1", "#ff", "0xca0xfe", "0xcafebabe"})
    void whatIsNotHexadecimalIsRefused(String text) {
        assertThrows(NumberFormatException.class, () -> HexBytes.parse(text));
    }

    @Test
    void manyBytesAreCutWithDots() {
        assertEquals("0x01 0x02 ...", HexBytes.format(new byte[] {1, 2, 3}, 2));
        assertArrayEquals(new byte[] {1}, HexBytes.parse("01"));
    }
}
