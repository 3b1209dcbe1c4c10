package io.github.jmeterwebrtc.jmeter;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.jmeter.engine.StandardJMeterEngine;
import org.apache.jmeter.engine.util.NoThreadClone;
import org.apache.jmeter.samplers.SampleEvent;
import org.apache.jmeter.samplers.SampleListener;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.save.SaveService;
import org.apache.jmeter.testelement.AbstractTestElement;
import org.apache.jorphan.collections.HashTree;

/** Runs a plan of the test resources on JMeter's own engine in this JVM and keeps what listeners hear. */
public final class PlanRun {
    private final StandardJMeterEngine engine = new StandardJMeterEngine();
    private final Rows rows = new Rows();

    private PlanRun(String resource) throws IOException, URISyntaxException {
        JMeterHome.use();
        File plan = new File(PlanRun.class.getResource("/" + resource).toURI());
        HashTree tree = SaveService.loadTree(plan);
        tree.getTree(tree.getArray()[0]).add(rows);
        engine.configure(tree);
    }

    /** Loads a plan; it does not run yet. */
    public static PlanRun of(String resource) throws IOException, URISyntaxException {
        return new PlanRun(resource);
    }

    /** Runs to the end. */
    public PlanRun run() {
        engine.run();
        return this;
    }

    /** JMeter's Shutdown: threads are asked to stop, nothing is interrupted. */
    public void shutdown() {
        engine.askThreadsToStop();
    }

    /** JMeter's Stop: samplers are interrupted. */
    public void stop() {
        engine.stopTest(true);
    }

    /** All samples so far, of one label. */
    public List<Row> rows(String label) {
        return all().stream().filter(row -> row.label.equals(label)).collect(Collectors.toList());
    }

    /** All samples so far. */
    public List<Row> all() {
        synchronized (rows.heard) {
            return new ArrayList<>(rows.heard);
        }
    }

    /** One sample with the values of its columns. */
    public static final class Row {
        public final String label;
        public final SampleResult result;
        public final Map<String, String> columns;

        Row(SampleEvent event) {
            result = event.getResult();
            label = result.getSampleLabel();
            Map<String, String> values = new HashMap<>();
            for (int i = 0; i < SampleEvent.getVarCount(); i++) {
                values.put(SampleEvent.getVarName(i), event.getVarValue(i));
            }
            columns = Collections.unmodifiableMap(values);
        }

        /** A column as number; fails for one that is empty. */
        public double number(String column) {
            return Double.parseDouble(columns.get(column));
        }

        @Override
        public String toString() {
            return label + ": " + result.getResponseCode() + " " + result.getResponseMessage() + " " + columns;
        }
    }

    /** The listener in the plan. */
    private static final class Rows extends AbstractTestElement implements SampleListener, NoThreadClone {
        private static final long serialVersionUID = 1L;
        private final transient List<Row> heard = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void sampleOccurred(SampleEvent event) {
            heard.add(new Row(event));
        }

        @Override
        public void sampleStarted(SampleEvent event) {
            // JMeter never calls it.
        }

        @Override
        public void sampleStopped(SampleEvent event) {
            // JMeter never calls it.
        }
    }
}
