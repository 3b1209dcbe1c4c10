package io.github.jmeterwebrtc.jmeter.websocket.filter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.Opcode;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(10)
class FilterRuleTest {
    @ParameterizedTest
    @CsvSource({"IsPlain, '', true", "Contains, oi, true", "Contains, x, false", "NotContains, x, true", "Equals, noise, true",
        "NotEquals, noise, false", "StartsWith, no, true", "NotStartsWith, no, false", "EndsWith, se, true",
        "NotEndsWith, se, false", "ContainsRegex, o.s, true", "NotContainsRegex, o.s, false", "EqualsRegex, n.*e, true",
        "EqualsRegex, o.s, false", "NotEqualsRegex, o.s, true"})
    void aTextFilterDiscardsByItsComparison(Comparison comparison, String value, boolean discarded) {
        TextFrameFilter filter = new TextFrameFilter();
        filter.setComparisonType(comparison);
        filter.setMatchValue(value);
        assertEquals(discarded, filter.rule().discards(Opcode.TEXT, "noise".getBytes(StandardCharsets.UTF_8)));
        assertFalse(filter.rule().discards(Opcode.BINARY, "noise".getBytes(StandardCharsets.UTF_8)));
    }

    @ParameterizedTest
    @CsvSource({"IsPlain, '', '', true", "Contains, fe, '', true", "Contains, fe, 1, true", "Contains, fe, 0, false",
        "Contains, '', '', false", "NotContains, '', '', true", "NotContains, fe, 0, true", "Equals, cafe00, '', true",
        "StartsWith, cafe, '', true", "StartsWith, '', '', true", "EndsWith, 00, '', true", "NotEndsWith, 00, '', false",
        "Contains, zz, '', false", "Contains, ca, x, true"})
    void aBinaryFilterDiscardsByItsComparison(Comparison comparison, String value, String position, boolean discarded) {
        BinaryFrameFilter filter = new BinaryFrameFilter();
        filter.setComparisonType(comparison);
        filter.setMatchValue(value);
        filter.setMatchPosition(position);
        assertEquals(discarded, filter.rule().discards(Opcode.BINARY, HexBytes.parse("cafe00")));
        assertFalse(filter.rule().discards(Opcode.TEXT, HexBytes.parse("cafe00")));
    }

    @ParameterizedTest
    @CsvSource({"FilterAll, true, true", "FilterPingOnly, true, false", "FilterPongOnly, false, true"})
    void aPingFilterDiscardsByItsType(PingFrameFilter.FilterType type, boolean ping, boolean pong) {
        PingFrameFilter filter = new PingFrameFilter();
        filter.setFilterType(type);
        filter.setReplyToPing(true);
        FrameFilter.Rule rule = filter.rule();
        assertEquals(ping, rule.discards(Opcode.PING, new byte[0]));
        assertEquals(pong, rule.discards(Opcode.PONG, new byte[0]));
        assertFalse(rule.discards(Opcode.TEXT, new byte[0]));
        assertTrue(rule.repliesToPing());
    }

    @Test
    void theOutermostFilterThatDiscardsIsTold() {
        TextFrameFilter outer = new TextFrameFilter();
        outer.setName("outer");
        outer.setComparisonType(Comparison.StartsWith);
        outer.setMatchValue("a");
        TextFrameFilter inner = new TextFrameFilter();
        inner.setName("inner");
        FilterChain chain = new FilterChain(Arrays.asList(outer, inner));
        assertEquals("Discarded text frame (by filter 'outer')", chain.discarding(Opcode.TEXT, new byte[] {'a'}).label("text"));
        assertEquals("Discarded text frame (by filter 'inner')", chain.discarding(Opcode.TEXT, new byte[] {'b'}).label("text"));
        assertNull(chain.discarding(Opcode.BINARY, new byte[] {'a'}));
    }

    @Test
    void aRegularExpressionThatIsNoneIsRefusedBeforeAnythingIsRead() {
        TextFrameFilter filter = new TextFrameFilter();
        filter.setComparisonType(Comparison.EqualsRegex);
        filter.setMatchValue("(");
        assertThrows(IllegalArgumentException.class, () -> new FilterChain(Arrays.asList(filter)));
    }
}
