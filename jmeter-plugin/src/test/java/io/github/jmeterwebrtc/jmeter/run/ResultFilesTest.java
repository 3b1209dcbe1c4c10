package io.github.jmeterwebrtc.jmeter.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ResultFilesTest {
    private static String file(String... arguments) {
        return ResultFiles.value(Arrays.asList(arguments), "-l", "--logfile");
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
    void anOptionWithoutAValueIsGivenByEitherName() {
        assertTrue(ResultFiles.isGiven(Arrays.asList("-n", "-l", "a.jtl", "-f"), "-f", "--forceDeleteResultFile"));
        assertTrue(ResultFiles.isGiven(Arrays.asList("-n", "--runremote"), "-r", "--runremote"));
        assertFalse(ResultFiles.isGiven(Arrays.asList("-n", "-l", "-r.jtl"), "-r", "--runremote"));
    }
}
