package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.jmeter.samplers.SampleEvent;
import org.apache.jmeter.samplers.SampleListener;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.threads.AbstractThreadGroup;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterThread;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.threads.ListenerNotifier;
import org.apache.jmeter.threads.SamplePackage;

/**
 * Hands a sample of its own to the listeners that hear the current sampler, as JMeter's Transaction Controller does.
 *
 * <p>What is needed for that is remembered, because JMeter has taken the variables out of the context when a thread's end is
 * told; the variables know the last sampler and who hears it. Only ever used on the JMeter thread itself.
 */
final class SampleDelivery {
    private JMeterVariables variables;
    private ListenerNotifier notifier;
    private JMeterThread thread;
    private AbstractThreadGroup group;
    private String threadName = "";

    void remember(JMeterContext context) {
        JMeterThread running = context.getThread();
        JMeterVariables current = context.getVariables();
        if (running == null || current == null || running == thread && current == variables) {
            return;
        }
        thread = running;
        variables = current;
        notifier = thread.getNotifier();
        group = context.getThreadGroup();
        threadName = thread.getThreadName();
    }

    /**
     * Delivers a sample with columns of its own; afterwards the columns are again those of the sample before.
     *
     * @param result the sample
     * @param columns further columns of it
     */
    void deliver(ResultBuilder result, Map<String, String> columns) {
        Map<String, String> before = columns(variables);
        Columns.clear(variables);
        columns.forEach((name, value) -> Columns.put(variables, name, value));
        result.columns().forEach((name, value) -> Columns.put(variables, name, value));
        deliver(result.build());
        before.forEach((name, value) -> Columns.put(variables, name, value));
    }

    private static Map<String, String> columns(JMeterVariables variables) {
        Map<String, String> values = new HashMap<>();
        if (variables != null) {
            for (String name : Columns.NAMES) {
                String value = variables.get(name);
                values.put(name, value == null ? "" : value);
            }
        }
        return values;
    }

    /** Delivers now; without listeners (outside a test) there is nobody to tell. */
    private void deliver(SampleResult result) {
        if (notifier == null) {
            return;
        }
        result.setThreadName(threadName);
        result.setGroupThreads(group == null ? 0 : group.getNumberOfThreads());
        result.setAllThreads(JMeterContextService.getNumberOfThreads());
        String groupName = group == null ? "" : group.getName();
        JMeterContext context = JMeterContextService.getContext();
        boolean threadIsOver = context.getVariables() == null;
        if (threadIsOver) {
            // JMeter has emptied the context by now; scripts and functions of listeners need what is in it.
            context.setVariables(variables);
            context.setThread(thread);
            context.setThreadGroup(group);
            context.setPreviousResult(result);
        }
        try {
            notifier.notifyListeners(new SampleEvent(result, groupName, variables), listeners());
        } finally {
            if (threadIsOver) {
                context.clear();
            }
        }
    }

    private List<SampleListener> listeners() {
        Object sampled = variables.getObject(JMeterThread.PACKAGE_OBJECT);
        return sampled instanceof SamplePackage ? ((SamplePackage) sampled).getSampleListeners() : Collections.emptyList();
    }
}
