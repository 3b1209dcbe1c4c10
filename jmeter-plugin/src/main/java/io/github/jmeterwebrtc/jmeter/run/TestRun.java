package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.Engine;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.Lab;
import io.github.jmeterwebrtc.Scope;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.apache.jmeter.samplers.Sampler;
import org.apache.jmeter.threads.JMeterContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One JMeter test as the engine sees it: the scope of the test, the scopes of its threads, its labs.
 *
 * <p>Every element of a plan tells {@link #started()} and {@link #ended()}; the first of each counts. Opening, editing
 * and saving plans never come here, so they never load the native library. At the end everything that is still open is
 * closed within {@link #CLOSE_MS}, labs last; what was left open is in the summary file.
 */
public final class TestRun {
    /** Bound of closing what one thread, or the whole test, left open, ms. */
    static final long CLOSE_MS = 3_000;

    private static final Logger LOG = LoggerFactory.getLogger(TestRun.class);

    private static volatile TestRun current;

    private final Engine engine;
    private final Scope testScope;
    private final Map<Thread, ThreadScope> threads = new ConcurrentHashMap<>();
    private final StopWatch stopWatch = new StopWatch(threads.values());
    private final Map<String, Lab> labs = new LinkedHashMap<>();
    private final Map<Class<?>, AutoCloseable> parts = new ConcurrentHashMap<>();
    private final ProgressLine progress;
    private final SummaryFile summary;
    private final AutoIceNotice autoIce = AutoIceNotice.ofRunningPlan();

    private TestRun(Engine engine) {
        this.engine = engine;
        engine.beginTest();
        testScope = engine.openScope(null);
        progress = ProgressLine.startIfWanted(engine);
        summary = SummaryFile.ofProperties();
        autoIce.start();
    }

    /**
     * A test starts. Loads the native library; when that is impossible, every sample will say why.
     */
    public static synchronized void started() {
        if (current != null) {
            return;
        }
        ResultFiles.fitToRunningPlan();
        try {
            current = new TestRun(Engine.get());
        } catch (EngineUnavailableException | LinkageError e) {
            // Thrown from here it would abort the whole run, also of samplers that need no native library.
            LOG.error("The native library of jmeter-webrtc cannot be used: {}", e.getMessage(), e);
        }
    }

    /** The test has ended: all threads are done, also those of tearDown groups. */
    public static void ended() {
        TestRun ending;
        synchronized (TestRun.class) {
            ending = current;
            current = null;
        }
        if (ending != null) {
            ending.close();
        }
        Columns.unregister();
    }

    /**
     * The test in progress.
     *
     * @return the test; begun now when JMeter has not told a start (a sampler run on its own)
     * @throws EngineUnavailableException when the native library cannot be loaded, with a sentence saying why
     */
    public static TestRun current() {
        TestRun run = current;
        if (run == null) {
            synchronized (TestRun.class) {
                run = current;
                if (run == null) {
                    run = new TestRun(Engine.get());
                    current = run;
                }
            }
        }
        return run;
    }

    /**
     * What the calling JMeter thread owns; made at the first use.
     *
     * @return the scope of this thread
     */
    public ThreadScope thread() {
        ThreadScope own = threads.get(Thread.currentThread());
        return own != null ? own : threads.computeIfAbsent(Thread.currentThread(), thread -> {
            Scope kept = engine.openScope(testScope);
            return new ThreadScope(this, thread, engine.openScope(kept), kept);
        });
    }

    /**
     * A part of the test that a kind of element brings along; made at the first use, closed at the end of the test before
     * anything else is.
     *
     * @param kind its class
     * @param make makes it
     * @param <T> its class
     * @return the one of this test
     */
    public <T extends AutoCloseable> T part(Class<T> kind, Supplier<T> make) {
        AutoCloseable part = parts.get(kind);
        return kind.cast(part != null ? part : parts.computeIfAbsent(kind, ignored -> make.get()));
    }

    /**
     * A part of the test in progress.
     *
     * @param kind its class
     * @param <T> its class
     * @return null when there is no test, or it has no such part yet
     */
    public static <T extends AutoCloseable> T partInProgress(Class<T> kind) {
        TestRun run = current;
        return run == null ? null : kind.cast(run.parts.get(kind));
    }

    /**
     * The calling JMeter thread is about to run a sampler, of whatever kind: tells what became of calls meanwhile. Costs
     * next to nothing in a thread without calls.
     *
     * @param sampler the sampler
     * @param context the thread's JMeter context
     */
    public static void beforeSample(Sampler sampler, JMeterContext context) {
        TestRun run = current;
        if (run == null) {
            return;
        }
        ThreadScope thread = run.threads.get(Thread.currentThread());
        run.beforeSample(sampler, context, thread);
    }

    /** The same for what a thread owns; null = nothing yet. */
    void beforeSample(Sampler sampler, JMeterContext context, ThreadScope thread) {
        autoIce.sampled(sampler, context);
        if (thread != null) {
            thread.beforeSample(context);
        }
    }

    /** Whether this is {@link #current()}. */
    boolean isInProgress() {
        return this == current;
    }

    /** The calling JMeter thread has ended: tells what is left to tell of its calls, closes what it owned. Idempotent. */
    public static void threadFinished() {
        TestRun run = current;
        ThreadScope ended = run == null ? null : run.threads.remove(Thread.currentThread());
        if (ended == null) {
            return;
        }
        try {
            ended.end(CLOSE_MS);
        } finally {
            ended.close();
            close(ended.scope(), "a thread");
        }
    }

    /**
     * A message of a sampler goes out without a live session behind it although Auto ICE has looked at it; told at the end of the
     * test.
     *
     * @param sampler its name
     */
    public void countWithoutSession(String sampler) {
        autoIce.countWithoutSession(sampler);
    }

    /**
     * The engine.
     *
     * @return loaded
     */
    public Engine engine() {
        return engine;
    }

    /**
     * The scope of the test, for connections that all threads share.
     *
     * @return open until the end of the test
     */
    public Scope testScope() {
        return testScope;
    }

    /**
     * Starts a lab that ends with the test.
     *
     * @param name its name in the plan; a second one of the same name is refused
     * @param configJson the engine's lab configuration
     * @param deadlineMs bound of starting, ms
     * @return the running lab
     * @throws EngineException when it cannot listen
     * @throws TimeoutException when it did not start in time
     */
    public Lab startLab(String name, String configJson, long deadlineMs) throws EngineException, TimeoutException {
        synchronized (labs) {
            if (labs.containsKey(name)) {
                throw new IllegalArgumentException(
                        "variablePrefix: '" + name + "' is used by two WebRTC Lab Servers; give each its own");
            }
            Lab lab = engine.startLab(configJson, deadlineMs);
            labs.put(name, lab);
            return lab;
        }
    }

    private void close() {
        progress.stop();
        stopWatch.stop();
        // First the accounts, then the closing: what is open now was left open by the plan.
        summary.write(engine);
        autoIce.end(engine.snapshot());
        for (AutoCloseable part : parts.values()) {
            try {
                part.close();
            } catch (Exception e) {
                LOG.error("{} could not be closed at the end of the test", part.getClass().getSimpleName(), e);
            }
        }
        for (ThreadScope thread : threads.values()) {
            thread.close();
            close(thread.scope(), "a thread whose end was not told");
        }
        threads.clear();
        close(testScope, "the test");
        synchronized (labs) {
            for (Map.Entry<String, Lab> lab : labs.entrySet()) {
                stop(lab.getKey(), lab.getValue());
            }
            labs.clear();
        }
        engine.closeAll(CLOSE_MS);
    }

    private static void close(Scope scope, String owner) {
        try {
            JsonNode closed = scope.close(CLOSE_MS);
            LOG.debug("Closed at the end of {}: {}", owner, closed);
        } catch (RuntimeException e) {
            // The end of a thread must not fail for what it left open; closeAll at the end of the test tries again.
            LOG.error("What {} left open could not be closed in {} ms", owner, CLOSE_MS, e);
        }
    }

    private static void stop(String name, Lab lab) {
        try {
            LOG.info("WebRTC Lab Server '{}' ended: {}", name, lab.stop(CLOSE_MS));
        } catch (RuntimeException e) {
            LOG.error("WebRTC Lab Server '{}' did not stop in {} ms", name, CLOSE_MS, e);
        }
    }
}
