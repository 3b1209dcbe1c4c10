package io.github.jmeterwebrtc.jmeter.softphone;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The parameters of a profile as lines {@code name=value}. Pure.
 *
 * <p>Spaces around name and value do not count; a value may hold further {@code =}. Empty lines and those that begin with
 * {@code #} are skipped. Values may be secrets: no message holds one.
 */
final class ProfileParameters {
    private static final Pattern LINE_END = Pattern.compile("\\r?\\n|\\r");
    private static final Pattern NAME = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");
    /** What JMeter leaves behind where there is no such variable or function. */
    private static final Pattern NOT_EVALUATED = Pattern.compile("\\$\\{[^}]*\\}");

    private ProfileParameters() {
    }

    /**
     * Reads them.
     *
     * @param lines the text
     * @return name → value, in the order of the lines
     * @throws InvalidElementException naming the line, or the parameter
     */
    static Map<String, String> parse(String lines) throws InvalidElementException {
        Map<String, String> parameters = new LinkedHashMap<>();
        int number = 0;
        for (String line : LINE_END.split(lines)) {
            number++;
            String text = line.trim();
            if (text.isEmpty() || text.startsWith("#")) {
                continue;
            }
            int equals = text.indexOf('=');
            String name = equals < 0 ? "" : text.substring(0, equals).trim();
            if (!NAME.matcher(name).matches()) {
                throw new InvalidElementException("parameters: line " + number + " is not name=value");
            }
            String value = text.substring(equals + 1).trim();
            if (NOT_EVALUATED.matcher(value).find()) {
                throw new InvalidElementException("parameters: line " + number + ": the value of '" + name
                        + "' holds a ${…} that JMeter did not replace: there is no such variable yet");
            }
            if (parameters.put(name, value) != null) {
                throw new InvalidElementException("parameters: line " + number + ": '" + name + "' is there twice");
            }
        }
        return parameters;
    }
}
