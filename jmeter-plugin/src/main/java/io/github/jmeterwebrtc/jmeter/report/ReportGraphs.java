package io.github.jmeterwebrtc.jmeter.report;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;

/**
 * The graphs that WebRTC results add to JMeter's HTML dashboard ("Customs Graphs"), as JMeter properties.
 *
 * <p>JMeter reads them when it is about to make a report, which for {@code -e -o} is after the plan was loaded. A report
 * that is made later ({@code jmeter -g}) loads no plan: there {@code -q} has to name a file with {@link #asPropertiesFile()}.
 */
public final class ReportGraphs {
    private static final String PREFIX = "jmeter.reportgenerator.graph.custom_webrtc";

    private ReportGraphs() {
    }

    /**
     * Adds what the user has not set.
     *
     * @param jmeter the properties of this JMeter
     */
    public static void register(Properties jmeter) {
        properties().forEach(jmeter::putIfAbsent);
    }

    /**
     * The definitions as a file for JMeter's option {@code -q}.
     *
     * @return lines of a properties file
     */
    public static String asPropertiesFile() {
        StringBuilder file = new StringBuilder("# Graphs of WebRTC results: jmeter -g results.jtl -o report -q this-file\n");
        properties().forEach((name, value) -> file.append(name).append('=').append(value).append('\n'));
        return file.toString();
    }

    /** JMeter property → value. */
    static Map<String, String> properties() {
        Map<String, String> properties = new LinkedHashMap<>();
        graph(properties, "SetUp", "WebRTC set-up: 95th percentile of each phase", "Duration in ms", "took (ms)");
        graph(properties, "Failures", "WebRTC failures by cause", "Failed samples", "failed");
        graph(properties, "Jitter", "WebRTC media: 95th percentile of jitter", "Jitter in ms", "had (ms)");
        graph(properties, "PacketsLost", "WebRTC media: packets lost", "RTP packets", "lost");
        return properties;
    }

    private static void graph(
            Map<String, String> properties, String id, String title, String yAxis, String tooltip) {
        String name = PREFIX + id;
        // By name: the command line makes the file without JMeter, which these classes need.
        properties.put(name + ".classname", ReportGraphs.class.getPackage().getName() + "." + id + "Graph");
        properties.put(name + ".title", title);
        properties.put(name + ".property.set_Y_Axis", yAxis);
        properties.put(name + ".property.set_X_Axis", "Time");
        properties.put(name + ".property.set_granularity", "${jmeter.reportgenerator.overall_granularity}");
        properties.put(name + ".property.setContentMessage", tooltip);
    }
}
