package io.github.jmeterwebrtc.jmeter.dropin;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.jmeter.engine.util.CompoundVariable;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.FunctionProperty;
import org.apache.jmeter.testelement.property.JMeterProperty;
import org.apache.jmeter.testelement.property.PropertyIterator;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.SearchByClass;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks for scripts that reach into classes of the WebSocket Samplers plugin, which are not here or have no connection, and
 * says in the log which element does the same.
 *
 * <p>Every thread group is looked at once per test, when its first thread starts. Thread safe.
 */
final class InternalsNotice {
    private static final Logger LOG = LoggerFactory.getLogger(InternalsNotice.class);
    private static final Pattern INTERNALS = Pattern.compile("eu\\.luminis\\.[\\w.]+");
    private static final Map<String, String> REPLACEMENTS = new LinkedHashMap<>();

    static {
        REPLACEMENTS.put("sendBinaryFrame", "WebSocket Single Write Sampler with type Binary sends bytes, also from a variable"
                + " in hexadecimal");
        REPLACEMENTS.put("sendTextFrame", "WebSocket Single Write Sampler sends text");
        REPLACEMENTS.put("sendPingFrame", "WebSocket Ping/Pong sends a ping");
        REPLACEMENTS.put("receive", "WebSocket Single Read Sampler or WebSocket Wait for Message receives");
        REPLACEMENTS.put("sendClose", "WebSocket Close closes");
        REPLACEMENTS.put("isConnected", "a sampler that uses the connection fails, with the cause, when it has ended");
        REPLACEMENTS.put("threadLocalCachedConnection", "samplers find the thread's connection by its connection id");
    }

    private final Set<String> lookedAt = ConcurrentHashMap.newKeySet();

    /** Looks at the thread group of a thread that starts, if that was not done before. */
    void look(JMeterContext context) {
        if (context.getThread() == null || context.getThreadGroup() == null
                || !lookedAt.add(context.getThreadGroup().getName())) {
            return;
        }
        for (String sentence : sentences(context.getThread().getTestTree())) {
            LOG.error("{}", sentence);
        }
    }

    /** One sentence for each element of a tree that reaches into the plugin. */
    static List<String> sentences(HashTree tree) {
        SearchByClass<TestElement> elements = new SearchByClass<>(TestElement.class);
        tree.traverse(elements);
        List<String> sentences = new ArrayList<>();
        for (TestElement element : elements.getSearchResults()) {
            PropertyIterator properties = element.propertyIterator();
            while (properties.hasNext()) {
                String text = text(properties.next());
                if (text.contains("eu.luminis.")) {
                    sentences.add(sentence(element.getName(), text));
                }
            }
        }
        return sentences;
    }

    /** What a script is told. Pure. */
    static String sentence(String element, String script) {
        Set<String> classes = new TreeSet<>();
        Matcher matcher = INTERNALS.matcher(script);
        while (matcher.find()) {
            classes.add(matcher.group());
        }
        List<String> advice = new ArrayList<>();
        REPLACEMENTS.forEach((word, replacement) -> {
            if (script.contains(word)) {
                advice.add(replacement);
            }
        });
        return "'" + element + "' reaches into " + String.join(", ", classes) + " of the WebSocket Samplers plugin, which does"
                + " not run this plan: " + (advice.isEmpty()
                ? "the getters and setters of the sampler itself (ctx.getCurrentSampler()) are as they were"
                : String.join("; ", advice)) + ".";
    }

    private static String text(JMeterProperty property) {
        if (property instanceof FunctionProperty) {
            // Its functions must not be called here.
            Object value = property.getObjectValue();
            return value instanceof CompoundVariable ? ((CompoundVariable) value).getRawParameters() : "";
        }
        Object value = property.getObjectValue();
        return value instanceof String ? (String) value : "";
    }
}
