package io.github.jmeterwebrtc;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The preflight from a command line: will this machine hold so many softphones, and do the servers they need answer?
 *
 * <p>Needs nothing but this library: no SLF4J, no JSON library, no JMeter. {@code --help} tells the options.
 */
public final class Doctor {
    /** Exit status when nothing could be checked. */
    public static final int NOT_CHECKED = 2;

    private Doctor() {
    }

    /**
     * Examines and prints.
     *
     * @param arguments the options, see {@code --help}
     * @param out where the report goes
     * @param err where the reason goes when nothing could be checked
     * @return exit status: 0 = it will hold, 1 = a check failed, {@value #NOT_CHECKED} = it could not be checked
     */
    public static int run(String[] arguments, PrintStream out, PrintStream err) {
        byte[] answer;
        try {
            NativeLibrary.load();
            answer = Native.doctor(nulSeparated(arguments));
        } catch (EngineUnavailableException | LinkageError e) {
            err.println("doctor: " + e.getMessage());
            return NOT_CHECKED;
        } catch (EngineException e) {
            err.println("doctor: " + e.resultCode() + ": " + e.getMessage());
            return NOT_CHECKED;
        }
        int status = answer[0];
        PrintStream stream = status == NOT_CHECKED ? err : out;
        stream.print(new String(answer, 1, answer.length - 1, StandardCharsets.UTF_8));
        stream.flush();
        return status;
    }

    private static byte[] nulSeparated(String[] arguments) {
        StringBuilder joined = new StringBuilder();
        Arrays.asList(arguments).forEach(argument -> joined.append(argument).append('\0'));
        return joined.toString().getBytes(StandardCharsets.UTF_8);
    }
}
