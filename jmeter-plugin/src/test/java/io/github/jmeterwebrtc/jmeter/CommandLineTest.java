package io.github.jmeterwebrtc.jmeter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.StringReader;
import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class CommandLineTest {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();

    private int run(String... arguments) {
        return CommandLine.run(arguments, new PrintStream(out, true), new PrintStream(err, true));
    }

    @Test
    void theReportPropertiesNameClassesThatAreThere() throws Exception {
        assertEquals(0, run("report-properties"));
        Properties properties = new Properties();
        properties.load(new StringReader(out.toString("UTF-8")));
        int graphs = 0;
        for (String name : properties.stringPropertyNames()) {
            if (name.endsWith(".classname")) {
                graphs++;
                Class.forName(properties.getProperty(name)).getConstructor();
            }
        }
        assertEquals(4, graphs);
    }

    @Test
    void whatIsNoCommandIsSaidOnStandardError() throws Exception {
        assertEquals(2, run("frobnicate"));
        assertEquals(2, run());
        assertEquals("", out.toString("UTF-8"));
        assertTrue(err.toString("UTF-8").contains("'frobnicate' is no command"));
    }

    @Test
    void helpNamesEveryCommand() throws Exception {
        assertEquals(0, run("--help"));
        String said = out.toString("UTF-8");
        assertTrue(said.contains("doctor") && said.contains("report-properties"), said);
    }
}
