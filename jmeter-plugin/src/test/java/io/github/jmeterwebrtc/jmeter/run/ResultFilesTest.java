package io.github.jmeterwebrtc.jmeter.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ResultFilesTest {
    private static String file(String... arguments) {
        return ResultFiles.ofArguments(Arrays.asList(arguments));
    }

    @Test
    void theFileIsThatOfTheOptionHoweverItIsWritten() {
        assertEquals("a b.jtl", file("-n", "-t", "plan.jmx", "-l", "a b.jtl", "-e"));
        assertEquals("a.jtl", file("-n", "--logfile", "a.jtl"));
        assertEquals("a.jtl", file("--logfile=a.jtl"));
        assertEquals("a.jtl", file("-la.jtl"));
        assertNull(file("-n", "-t", "plan.jmx"));
        assertNull(file("-l"));
    }

    @Test
    void aFileThatJMeterDeletesFirstDecidesNothing() {
        assertNull(file("-n", "-l", "a.jtl", "-f"));
    }
}
