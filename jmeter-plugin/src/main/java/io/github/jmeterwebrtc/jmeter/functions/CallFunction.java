package io.github.jmeterwebrtc.jmeter.functions;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.jmeter.autoice.CallName;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.engine.util.CompoundVariable;
import org.apache.jmeter.functions.AbstractFunction;
import org.apache.jmeter.functions.InvalidVariableException;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.samplers.Sampler;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterVariables;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the functions of calls share: the first parameter names a call of the thread, the last one a variable that takes the
 * value, too; what fails gives an empty text, a line in the log and the reason in the variable {@value #ERROR}.
 *
 * <p>JMeter evaluates a text as often as it likes; functions that make something make it once for a sample. Thread safe: one
 * object serves all threads.
 */
abstract class CallFunction extends AbstractFunction {
    /** JMeter variable with the reason of the last failure; empty after a success. */
    static final String ERROR = "webrtc_error";

    private static final Logger LOG = LoggerFactory.getLogger(CallFunction.class);
    private static final String LAST = "__webrtc.last.";
    private static final String CALL_NAME = "Name of the call within its thread (may be empty)";
    private static final String VARIABLE = "Name of a variable that takes the value, too (optional)";

    private final String key;
    private final List<String> descriptions;
    private volatile List<CompoundVariable> parameters = Collections.emptyList();

    /**
     * One function.
     *
     * @param key its name, with both underscores
     * @param own descriptions of the parameters between the call's name and the variable
     */
    CallFunction(String key, String... own) {
        this.key = key;
        List<String> all = new ArrayList<>();
        all.add(CALL_NAME);
        Collections.addAll(all, own);
        all.add(VARIABLE);
        descriptions = Collections.unmodifiableList(all);
    }

    /** What one evaluation has to do with. */
    static final class Evaluation {
        final ThreadScope thread;
        final JMeterContext context;
        final BoundedWait bounded;
        /** The engine's name of the call. */
        final String call;
        private final List<String> values;
        private final Sampler sampler;

        Evaluation(ThreadScope thread, JMeterContext context, BoundedWait bounded, List<String> values, Sampler sampler) {
            this.thread = thread;
            this.context = context;
            this.bounded = bounded;
            this.values = values;
            this.sampler = sampler;
            call = CallName.ofEngine(values.isEmpty() ? "" : values.get(0));
        }

        /** The parameter of a place, trimmed; empty when it is not given. */
        String parameter(int place) {
            return place < values.size() ? values.get(place) : "";
        }

        /** What a function has made for this call and sample before; null when it has not. */
        <T> T made(String what, Class<T> kind) {
            Object last = context.getVariables().getObject(LAST + what + call);
            if (last instanceof Made && ((Made) last).sampler == sampler
                    && ((Made) last).before == context.getPreviousResult()) {
                return kind.cast(((Made) last).value);
            }
            return null;
        }

        /** Remembers what was made for this call and sample. */
        void remember(String what, Object value) {
            context.getVariables().putObject(LAST + what + call, new Made(sampler, context.getPreviousResult(), value));
        }
    }

    /** A value, and the sample it was made for: the sampler, and what came before it. */
    private static final class Made {
        private final Sampler sampler;
        private final SampleResult before;
        private final Object value;

        Made(Sampler sampler, SampleResult before, Object value) {
            this.sampler = sampler;
            this.before = before;
            this.value = value;
        }
    }

    /** Gives the value. */
    abstract String evaluate(Evaluation evaluation)
            throws InvalidElementException, EngineException, TimeoutException;

    @Override
    public String execute(SampleResult previousResult, Sampler currentSampler) throws InvalidVariableException {
        JMeterContext context = JMeterContextService.getContext();
        JMeterVariables variables = context.getVariables();
        if (context.getThread() == null || variables == null) {
            // In a dialog of the GUI there is no thread, so there are no calls.
            return "";
        }
        List<String> values = new ArrayList<>();
        for (CompoundVariable parameter : parameters) {
            values.add(parameter.execute().trim());
        }
        String value = "";
        try {
            ThreadScope thread = TestRun.current().thread();
            thread.watchAutoIce(thread.scope());
            Sampler sampler = currentSampler == null ? context.getCurrentSampler() : currentSampler;
            try (BoundedWait bounded = thread.beginWait(context)) {
                value = evaluate(new Evaluation(thread, context, bounded, values, sampler));
            }
            variables.put(ERROR, "");
        } catch (InvalidElementException | IllegalArgumentException | EngineException | TimeoutException
                | CancellationException | EngineUnavailableException e) {
            fail(variables, e.getMessage());
        } catch (LinkageError e) {
            fail(variables, "the native library cannot be used: " + e.getMessage());
        }
        int last = descriptions.size() - 1;
        if (last < values.size() && !values.get(last).isEmpty()) {
            variables.put(values.get(last), value);
        }
        return value;
    }

    private void fail(JMeterVariables variables, String why) {
        LOG.error("{}: {}", key, why);
        variables.put(ERROR, key + ": " + why);
    }

    @Override
    public void setParameters(Collection<CompoundVariable> given) throws InvalidVariableException {
        checkParameterCount(given, 0, descriptions.size());
        parameters = new ArrayList<>(given);
    }

    @Override
    public String getReferenceKey() {
        return key;
    }

    @Override
    public List<String> getArgumentDesc() {
        return descriptions;
    }
}
