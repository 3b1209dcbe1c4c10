package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.samplers.AbstractSampler;
import org.apache.jmeter.samplers.Entry;
import org.apache.jmeter.samplers.Interruptible;
import org.apache.jmeter.samplers.SampleMonitor;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.samplers.Sampler;
import org.apache.jmeter.testelement.TestStateListener;
import org.apache.jmeter.testelement.ThreadListener;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterThread;
import org.apache.jmeter.threads.JMeterVariables;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What all samplers of this plugin share: they wait in the engine, can be interrupted, and own nothing themselves.
 *
 * <p>Sockets and calls belong to the thread's {@link ThreadScope}, because JMeter clones samplers for every thread. Every
 * way out of {@link #perform} is a sample: bad input, a timeout, a cancel, a library that cannot be loaded. Property
 * values are read once per sample (JMeter 5.6 may evaluate a function at every read).
 */
public abstract class EngineSampler extends AbstractSampler
        implements ThreadListener, TestStateListener, Interruptible, SampleMonitor {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(EngineSampler.class);

    /** The JMeter thread, if one of its elements does what is to be done before a sample: there is one sample, and many elements. */
    private static final ThreadLocal<JMeterThread> BEFORE_SAMPLES = new ThreadLocal<>();

    /** The wait of the sample in progress; written by the JMeter thread, cancelled by any. */
    private transient volatile BoundedWait wait;
    /** The JMeter thread of that sample; written before {@link #wait}, read after it. */
    private transient JMeterThread runner;
    /** What the JMeter thread owned that ran the last sample of this element. */
    private transient ThreadScope lastThread;
    /** The thread in which another element does what is to be done before a sample. */
    private transient Thread idleBeforeSamples;

    /**
     * Does the work of one sample.
     *
     * @param thread what the JMeter thread owns
     * @param bounded the right to wait
     * @param result what happened goes in here
     * @throws InvalidElementException when a property of the plan cannot be used
     * @throws EngineException when the engine failed in a way that {@link #failed} shall describe
     * @throws TimeoutException when the engine waited in vain and {@link #timedOut} shall describe it
     */
    protected abstract void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException;

    /**
     * Describes an engine failure.
     *
     * @param result the sample
     * @param failure what the engine says
     */
    protected abstract void failed(ResultBuilder result, EngineException failure);

    /**
     * Describes a timeout of its own, that is one which nothing in the plan or of JMeter shortened.
     *
     * @param result the sample
     * @param timeout what the engine says
     */
    protected abstract void timedOut(ResultBuilder result, TimeoutException timeout);

    /**
     * The response code of a sample whose element is badly configured.
     *
     * @return a fixed text
     */
    protected abstract String invalidCode();

    /**
     * Text in front of the sentence about a badly configured element.
     *
     * @return may be empty
     */
    protected String invalidPrefix() {
        return "";
    }

    /**
     * Whether the sample goes on without the thread's lost calls being told first.
     *
     * @return true for elements that know nothing of calls
     */
    protected boolean ignoresCalls() {
        return true;
    }

    /**
     * Whether this sampler makes a sample this time.
     *
     * @return false = none, and nothing is done
     */
    protected boolean takesPart() {
        return true;
    }

    @Override
    public final SampleResult sample(Entry ignored) {
        ResultBuilder result = new ResultBuilder(getName());
        try {
            if (!takesPart()) {
                return null;
            }
            ThreadScope thread = knownThread();
            if (thread == null) {
                thread = TestRun.current().thread();
                lastThread = thread;
            }
            try (BoundedWait bounded = beginWait(thread)) {
                runner = thread.context().getThread();
                wait = bounded;
                if (!ignoresCalls()) {
                    thread.reportLostCalls();
                }
                attempt(thread, bounded, result);
                if (!ignoresCalls()) {
                    result.explain();
                }
            } finally {
                wait = null;
            }
        } catch (EngineUnavailableException | LinkageError e) {
            // A LinkageError is a library of another version than the jar: the thread goes on and every sample tells.
            result.onJavaClock();
            result.failure(Codes.ENGINE_FAILED, e.getMessage());
            result.evidence("The native library cannot be used", Codes.ENGINE_FAILED, null);
        }
        writeColumns(result);
        return result.build();
    }

    /**
     * Begins the wait of a sample.
     *
     * @param thread what the JMeter thread owns
     * @return a wait that the end of the JMeter thread shortens
     */
    protected BoundedWait beginWait(ThreadScope thread) {
        return thread.beginWait(getThreadContext());
    }

    /** What the calling thread owns, where that need not be looked for; null = it has to be. */
    private ThreadScope knownThread() {
        ThreadScope last = lastThread;
        return last != null && last.isOfCallingThread() ? last : null;
    }

    private void attempt(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        try {
            perform(thread, bounded, result);
        } catch (InvalidElementException e) {
            if (e.code() == null) {
                result.failure(invalidCode(), invalidPrefix() + e.getMessage());
            } else {
                result.failure(e.code(), e.getMessage());
            }
        } catch (IllegalArgumentException e) {
            // The engine's own check of the configuration, which names field and value.
            result.failure(invalidCode(), invalidPrefix() + e.getMessage());
        } catch (TimeoutException e) {
            result.onJavaClock();
            String endedBy = bounded.endedBy();
            if (endedBy == null) {
                timedOut(result, e);
            } else {
                cancelled(result, endedBy);
            }
        } catch (CancellationException e) {
            result.onJavaClock();
            String endedBy = bounded.endedBy();
            cancelled(result, endedBy == null ? e.getMessage() : endedBy);
        } catch (EngineException e) {
            result.onJavaClock();
            failed(result, e);
        } catch (IllegalStateException e) {
            // A handle that the engine knows no more: its owner was closed while this sampler used it.
            result.onJavaClock();
            LOG.warn("{}: {}", getName(), e.getMessage(), e);
            result.failure(Codes.CANCELLED, e.getMessage());
        }
    }

    private static void cancelled(ResultBuilder result, String endedBy) {
        result.failure(Codes.CANCELLED, "Stopped while waiting: " + endedBy);
    }

    private void writeColumns(ResultBuilder result) {
        Map<String, String> columns = result.columns();
        if (!columns.isEmpty()) {
            JMeterVariables variables = getThreadContext().getVariables();
            columns.forEach((name, value) -> Columns.put(variables, name, value));
        }
    }

    /**
     * Whether a sample ends early because something in the plan wants it to, as a Sample Timeout does, while its thread goes on.
     *
     * @return false = only the end of the thread, or of the test, interrupts it
     */
    protected boolean heedsInterrupts() {
        return true;
    }

    /**
     * Ends the wait in progress, unless {@link #heedsInterrupts} says that this one goes on. Never blocks; what is waited for fails with
     * code {@code CANCELLED}.
     *
     * @return whether a sample was in progress and ends
     */
    @Override
    public boolean interrupt() {
        BoundedWait inProgress = wait;
        if (inProgress == null || !heedsInterrupts() && StopFlag.isSurelyRunning(runner)) {
            return false;
        }
        inProgress.cancel();
        return true;
    }

    /**
     * The context of the calling thread, asked for each time. An element that keeps the context in which it is told of
     * threads and samples cannot be run by the threads that a Parallel Controller starts for its children.
     */
    @Override
    public JMeterContext getThreadContext() {
        return JMeterContextService.getContext();
    }

    /**
     * A row carries the values of its own sample only, also the rows of samplers that are not ours; and a call that was lost
     * in the background is told now, whatever sampler comes next.
     */
    @Override
    public void sampleStarting(Sampler sampler) {
        if (idleBeforeSamples != Thread.currentThread()) {
            JMeterContext context = getThreadContext();
            Columns.clear(context.getVariables());
            ThreadScope thread = knownThread();
            if (thread == null) {
                TestRun.beforeSample(sampler, context);
            } else {
                thread.run().beforeSample(sampler, context, thread);
            }
        }
    }

    @Override
    public void sampleEnded(Sampler sampler) {
        // The values stay until the next sample: JMeter reads them after this, when it builds the row.
    }

    @Override
    public void testStarted() {
        TestRun.started();
    }

    @Override
    public void testStarted(String host) {
        TestRun.started();
    }

    @Override
    public void testEnded() {
        TestRun.ended();
    }

    @Override
    public void testEnded(String host) {
        TestRun.ended();
    }

    /**
     * The first element of a thread takes over what is to be done before its samples. The scope of the thread is made at its first
     * sample: a thread that opens nothing costs nothing.
     */
    @Override
    public void threadStarted() {
        JMeterThread started = getThreadContext().getThread();
        idleBeforeSamples = started != null && started == BEFORE_SAMPLES.get() ? Thread.currentThread() : null;
        BEFORE_SAMPLES.set(started);
    }

    @Override
    public void threadFinished() {
        BEFORE_SAMPLES.remove();
        TestRun.threadFinished();
    }

    /**
     * A JSON field as text, for messages.
     *
     * @param details the engine's details
     * @param field field name
     * @return empty when absent or null
     */
    protected static String text(JsonNode details, String field) {
        JsonNode value = details.path(field);
        return value.isMissingNode() || value.isNull() ? "" : value.asText();
    }
}
