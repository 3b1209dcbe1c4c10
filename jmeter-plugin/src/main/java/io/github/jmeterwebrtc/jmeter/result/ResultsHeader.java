package io.github.jmeterwebrtc.jmeter.result;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.jmeter.save.CSVSaveService;
import org.apache.jmeter.save.SaveService;

/**
 * The sample variables that a CSV results file was begun with.
 *
 * <p>JMeter appends to a file that is there, and writes its header only once: rows with other columns than the header's
 * make {@code jmeter -g} refuse the whole file. So the file decides which columns of ours are written.
 */
public final class ResultsHeader {
    /** JMeter writes the names of sample variables in quotes, and no others. */
    private static final Pattern VARIABLE =
            Pattern.compile(CSVSaveService.VARIABLE_NAME_QUOTE_CHAR + "([^\"]*)" + CSVSaveService.VARIABLE_NAME_QUOTE_CHAR);

    private final List<String> variables;

    private ResultsHeader(List<String> variables) {
        this.variables = variables;
    }

    /**
     * Reads the header of a file.
     *
     * @param file where results go
     * @return null where JMeter will write a header of its own (no such file, an empty one), or where there is none (XML, a
     *         CSV file without field names)
     * @throws IOException when the file is there and cannot be read
     */
    public static ResultsHeader of(Path file) throws IOException {
        if (!Files.isRegularFile(file) || Files.size(file) == 0) {
            return null;
        }
        Charset charset = Charset.forName(SaveService.getFileEncoding("UTF-8"));
        try (BufferedReader reader = Files.newBufferedReader(file, charset)) {
            return parse(reader.readLine());
        }
    }

    /** The header in a first line; null when it is none. Pure. */
    static ResultsHeader parse(String line) {
        if (line == null || !line.startsWith(CSVSaveService.TIME_STAMP)) {
            return null;
        }
        List<String> variables = new ArrayList<>();
        Matcher names = VARIABLE.matcher(line);
        while (names.find()) {
            variables.add(names.group(1));
        }
        return new ResultsHeader(variables);
    }

    /**
     * The names among those of a run that this file has.
     *
     * @param ours names that the run would like to write
     * @return in the order of the file
     */
    public Set<String> among(List<String> ours) {
        Set<String> kept = new LinkedHashSet<>(variables);
        kept.retainAll(ours);
        return Collections.unmodifiableSet(kept);
    }

    /**
     * Whether rows with these variables fit under the header.
     *
     * @param run the sample variables of a run, in order
     * @return true when the file has exactly these
     */
    public boolean fits(List<String> run) {
        return variables.equals(run);
    }
}
