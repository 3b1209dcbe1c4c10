package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.jmeter.plan.RunningPlan;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.ResultsHeader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.jmeter.reporters.ResultCollector;
import org.apache.jmeter.services.FileServer;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.SearchByClass;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The results files that a test will append to: the columns of the test are fitted to theirs before the first row.
 *
 * <p>Found in the running plan, which holds every listener with a file and that of the option {@code -l}; on the controller
 * of a remote test, where elements of a plan are never told of the start, by the option {@code -l} alone. What cannot be
 * looked at is logged and left as it is.
 */
final class ResultFiles {
    private static final Logger LOG = LoggerFactory.getLogger(ResultFiles.class);
    private static final Path COMMAND_LINE = Paths.get("/proc/self/cmdline");

    private ResultFiles() {
    }

    /** Fits the columns to the file that JMeter was started with. */
    static void fitToCommandLine() {
        String file = ofArguments(arguments());
        if (file != null) {
            fitTo(file);
        }
    }

    /** Fits the columns to the files of the test that this JMeter is starting. */
    static void fitToRunningPlan() {
        HashTree tree = RunningPlan.tree();
        if (tree == null) {
            return;
        }
        SearchByClass<ResultCollector> collectors = new SearchByClass<>(ResultCollector.class);
        tree.traverse(collectors);
        for (ResultCollector collector : collectors.getSearchResults()) {
            String file = collector.getFilename();
            if (!file.isEmpty() && !collector.getSaveConfig().saveAsXml()) {
                fitTo(FileServer.resolveBaseRelativeName(file));
            }
        }
    }

    private static void fitTo(String file) {
        try {
            ResultsHeader header = ResultsHeader.of(Paths.get(file));
            if (header != null) {
                Columns.fitTo(header, file);
            }
        } catch (IOException | InvalidPathException e) {
            LOG.warn("The header of {} cannot be read ({}): its rows may get other columns than it has", file, e.toString());
        }
    }

    /** The file of {@code -l} in a command line of JMeter; null without one, or when it is to be deleted first. Pure. */
    static String ofArguments(List<String> arguments) {
        String file = null;
        for (int i = 0; i < arguments.size(); i++) {
            String argument = arguments.get(i);
            if (argument.equals("-f") || argument.equals("--forceDeleteResultFile")) {
                return null;
            }
            if ((argument.equals("-l") || argument.equals("--logfile")) && i + 1 < arguments.size()) {
                file = arguments.get(++i);
            } else if (argument.startsWith("--logfile=")) {
                file = argument.substring("--logfile=".length());
            } else if (argument.startsWith("-l") && argument.length() > 2) {
                file = argument.substring(2);
            }
        }
        return file;
    }

    private static List<String> arguments() {
        List<String> arguments = new ArrayList<>();
        try {
            String line = new String(Files.readAllBytes(COMMAND_LINE), StandardCharsets.UTF_8);
            arguments.addAll(Arrays.asList(line.split("\0")));
        } catch (IOException e) {
            // Not Linux: names with spaces are cut here, and then there is no such file.
            arguments.addAll(Arrays.asList(System.getProperty("sun.java.command", "").split(" ")));
        }
        // Options of the JVM come before its main class.
        int jmeter = -1;
        for (int i = 0; i < arguments.size(); i++) {
            if (arguments.get(i).endsWith("ApacheJMeter.jar") || arguments.get(i).endsWith("NewDriver")) {
                jmeter = i;
            }
        }
        return arguments.subList(jmeter + 1, arguments.size());
    }
}
