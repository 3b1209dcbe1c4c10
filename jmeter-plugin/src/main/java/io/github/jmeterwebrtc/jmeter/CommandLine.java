package io.github.jmeterwebrtc.jmeter;

import io.github.jmeterwebrtc.Doctor;
import io.github.jmeterwebrtc.jmeter.report.ReportGraphs;
import java.io.PrintStream;
import java.util.Arrays;

/** What {@code java -jar jmeter-webrtc-X.jar} does; nothing of JMeter is on its class path. */
public final class CommandLine {
    private static final String HELP = "Usage: java -jar jmeter-webrtc-X.jar <command>\n\n"
            + "  doctor [options]     will this machine hold so many softphones, and do their servers answer? (--help)\n"
            + "  report-properties    the dashboard's WebRTC graphs, for: jmeter -g results.jtl -o report -q FILE\n\n"
            + "To use it in JMeter, put the jar into lib/ext.\n";

    private CommandLine() {
    }

    /**
     * Runs a command and ends the JVM with its exit status.
     *
     * @param arguments command and options
     */
    public static void main(String[] arguments) {
        System.exit(run(arguments, System.out, System.err));
    }

    /** Runs a command; returns its exit status. */
    static int run(String[] arguments, PrintStream out, PrintStream err) {
        String command = arguments.length == 0 ? "" : arguments[0];
        switch (command) {
            case "doctor":
                return Doctor.run(Arrays.copyOfRange(arguments, 1, arguments.length), out, err);
            case "report-properties":
                out.print(ReportGraphs.asPropertiesFile());
                out.flush();
                return 0;
            case "--help":
            case "-h":
                out.print(HELP);
                out.flush();
                return 0;
            default:
                err.print((command.isEmpty() ? "" : "'" + command + "' is no command.\n") + HELP);
                return Doctor.NOT_CHECKED;
        }
    }
}
