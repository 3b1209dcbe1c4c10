package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.jmeter.plan.RunningPlan;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.ResultsHeader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.jmeter.engine.util.CompoundVariable;
import org.apache.jmeter.gui.GuiPackage;
import org.apache.jmeter.gui.tree.JMeterTreeNode;
import org.apache.jmeter.reporters.ResultCollector;
import org.apache.jmeter.save.SaveService;
import org.apache.jmeter.services.FileServer;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.SearchByClass;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The results files that a test will append to: the columns of the test are fitted to theirs before the first row.
 *
 * <p>Found in the running plan, which holds every listener with a file and that of the option {@code -l}. The controller of a
 * remote test has no running plan: there it is the plan that is open in the GUI, or the file of the option {@code -t}. What
 * cannot be looked at is logged and left as it is.
 */
final class ResultFiles {
    private static final Logger LOG = LoggerFactory.getLogger(ResultFiles.class);
    private static final Path COMMAND_LINE = Paths.get("/proc/self/cmdline");

    private ResultFiles() {
    }

    /** A test is about to start, on this JMeter or on its workers: fits the columns to the files that are known by now. */
    public static void fitBeforeTheStart() {
        List<String> arguments = arguments();
        String file = value(arguments, "-l", "--logfile");
        if (file != null && !isGiven(arguments, "-f", "--forceDeleteResultFile")) {
            fitTo(file);
        }
        try {
            if (GuiPackage.getInstance() != null) {
                GuiStarts.heed();
                fitTo(GuiPackage.getInstance().getTreeModel().getTestPlan());
            } else if (isGiven(arguments, "-r", "--runremote") || value(arguments, "-R", "--remotestart") != null) {
                String plan = value(arguments, "-t", "--testfile");
                if (plan != null) {
                    fitTo(SaveService.loadTree(new File(plan)));
                }
            }
        } catch (IOException | RuntimeException e) {
            LOG.warn("The results files of the plan cannot be found ({}): append to none that was written by another plan", e.toString());
        }
    }

    /** Fits the columns to the files of the test that this JMeter is starting. */
    static void fitToRunningPlan() {
        HashTree tree = RunningPlan.tree();
        if (tree != null) {
            fitTo(tree);
        }
    }

    /** Fits the columns to the CSV files of all listeners of a plan. */
    private static void fitTo(HashTree plan) {
        SearchByClass<ResultCollector> collectors = new SearchByClass<>(ResultCollector.class);
        SearchByClass<JMeterTreeNode> nodes = new SearchByClass<>(JMeterTreeNode.class);
        plan.traverse(collectors);
        plan.traverse(nodes);
        List<ResultCollector> all = new ArrayList<>(collectors.getSearchResults());
        // In the GUI and in a loaded file elements stand in nodes, or are nodes.
        for (JMeterTreeNode node : nodes.getSearchResults()) {
            if (node.getTestElement() instanceof ResultCollector) {
                all.add((ResultCollector) node.getTestElement());
            }
        }
        for (ResultCollector collector : all) {
            String file = new CompoundVariable(collector.getFilename()).execute();
            if (collector.isEnabled() && !file.isEmpty() && !collector.getSaveConfig().saveAsXml()) {
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

    /** The value of an option in a command line of JMeter, in each way to write it; null without one. Pure. */
    static String value(List<String> arguments, String brief, String full) {
        String value = null;
        for (int i = 0; i < arguments.size(); i++) {
            String argument = arguments.get(i);
            if ((argument.equals(brief) || argument.equals(full)) && i + 1 < arguments.size()) {
                value = arguments.get(++i);
            } else if (argument.startsWith(full + "=")) {
                value = argument.substring(full.length() + 1);
            } else if (argument.startsWith(brief) && argument.length() > brief.length()) {
                value = argument.substring(brief.length());
            }
        }
        return value;
    }

    /** Whether an option without a value is given. Pure. */
    static boolean isGiven(List<String> arguments, String brief, String full) {
        return arguments.contains(brief) || arguments.contains(full);
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
