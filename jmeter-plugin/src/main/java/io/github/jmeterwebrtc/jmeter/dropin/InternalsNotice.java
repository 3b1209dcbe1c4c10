package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.plan.PlanFile;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
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
import org.apache.jmeter.threads.AbstractThreadGroup;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.SearchByClass;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks for scripts that reach into classes of the WebSocket Samplers plugin, which are not here or have no connection, and
 * says in the log which element does the same.
 *
 * <p>Every thread group is looked at once per test, when its first thread starts: the scripts in its elements, and those in files
 * that its elements name. Each sentence is said once. Thread safe.
 */
final class InternalsNotice {
    private static final Logger LOG = LoggerFactory.getLogger(InternalsNotice.class);
    private static final Pattern INTERNALS = Pattern.compile("eu\\.luminis\\.[\\w.]+");
    private static final Map<String, String> REPLACEMENTS = new LinkedHashMap<>();

    private static final String SENDS_AND_RECEIVES = "WebSocket Single Write Sampler sends and WebSocket Single Read Sampler receives"
            + " over the connection that WebSocket Open Connection has opened";

    static {
        REPLACEMENTS.put("sendBinaryFrame", "WebSocket Single Write Sampler with type Binary sends bytes, also from a variable"
                + " in hexadecimal");
        REPLACEMENTS.put("sendTextFrame", "WebSocket Single Write Sampler sends text");
        REPLACEMENTS.put("sendPingFrame", "WebSocket Ping/Pong sends a ping");
        REPLACEMENTS.put("receive", "WebSocket Single Read Sampler or WebSocket Wait for Message receives");
        REPLACEMENTS.put("sendClose", "WebSocket Close closes");
        REPLACEMENTS.put("isConnected", "WebSocket Ping/Pong, as any sampler that uses the connection, fails, with the cause, when it has"
                + " ended");
        REPLACEMENTS.put("threadLocalCachedConnection", "WebSocket Single Write Sampler and the others find the thread's connection, by"
                + " its connection id");
    }

    /** By identity: groups may have one name, and equal properties. */
    private final Set<AbstractThreadGroup> lookedAt = Collections.newSetFromMap(new IdentityHashMap<>());
    private final Set<String> said = ConcurrentHashMap.newKeySet();

    /** Looks at the thread group of a thread that starts, if that was not done before, and logs what it finds. */
    void look(JMeterContext context) {
        for (String sentence : found(context)) {
            LOG.error("{}", sentence);
        }
    }

    /** The sentences that a thread which starts gives occasion to; none is given twice. */
    List<String> found(JMeterContext context) {
        AbstractThreadGroup group = context.getThreadGroup();
        // Without a controller of its own it is no group of the plan, but one of a Parallel Controller: there are as many as threads,
        // and their elements are those of a group that was looked at.
        if (context.getThread() == null || group == null
                || group.getProperty(AbstractThreadGroup.MAIN_CONTROLLER).getObjectValue() == null || !isNew(group)) {
            return Collections.emptyList();
        }
        List<String> sentences = sentences(context.getThread().getTestTree());
        sentences.removeIf(sentence -> !said.add(sentence));
        return sentences;
    }

    private boolean isNew(AbstractThreadGroup group) {
        synchronized (lookedAt) {
            return lookedAt.add(group);
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
                JMeterProperty property = properties.next();
                String text = text(property);
                if (isScriptFile(property.getName())) {
                    text = PlanFile.text(text);
                }
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
                ? SENDS_AND_RECEIVES + "; the getters and setters of the sampler itself (ctx.getCurrentSampler()) are as they were"
                : String.join("; ", advice)) + ".";
    }

    /** JSR223 and BeanShell elements: {@code filename}, and {@code BeanShellSampler.filename} and the like. */
    private static boolean isScriptFile(String property) {
        return property.equals("filename") || property.endsWith(".filename");
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
