package io.github.jmeterwebrtc.jmeter.run;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.control.LoopController;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterThread;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.threads.ListenerNotifier;
import org.apache.jorphan.collections.ListedHashTree;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class EngineSamplerTest {
    private final EngineSampler first = new Idle();
    private final EngineSampler second = new Idle();

    @BeforeEach
    void register() {
        JMeterHome.use();
        Columns.register();
        inAThreadOfJMeter();
    }

    @AfterEach
    void unregister() {
        first.threadFinished();
        Columns.unregister();
        JMeterContextService.getContext().clear();
    }

    @Test
    void oneElementOfAThreadDoesWhatIsToBeDoneBeforeItsSamples() {
        first.threadStarted();
        second.threadStarted();
        assertEquals("left", columnAfter(second));
        assertEquals("", columnAfter(first));
    }

    @Test
    void anElementThatIsRunByAnotherThreadThanThatWhichStartedItDoesItItself() throws Exception {
        first.threadStarted();
        second.threadStarted();
        String[] seen = new String[1];
        Thread child = new Thread(() -> {
            inAThreadOfJMeter();
            seen[0] = columnAfter(second);
        });
        child.start();
        child.join();
        assertEquals("", seen[0]);
    }

    @Test
    void eachJMeterThreadHasItsOwnElementForIt() {
        first.threadStarted();
        inAThreadOfJMeter();
        second.threadStarted();
        assertEquals("", columnAfter(second), "the thread of the first one has never told its end");
    }

    @Test
    void elementsWithoutAThreadOfJMeterAllDoIt() {
        JMeterContextService.getContext().setThread(null);
        first.threadStarted();
        second.threadStarted();
        assertEquals("", columnAfter(first));
        assertEquals("", columnAfter(second));
    }

    private static void inAThreadOfJMeter() {
        JMeterContext context = JMeterContextService.getContext();
        context.setThread(new JMeterThread(new ListedHashTree(new LoopController()), null, new ListenerNotifier()));
        context.setVariables(new JMeterVariables());
    }

    /** What is left of a column behind the start of a sample that an element is told of. */
    private static String columnAfter(EngineSampler told) {
        JMeterVariables variables = JMeterContextService.getContext().getVariables();
        Columns.put(variables, Columns.CAUSE, "left");
        told.sampleStarting(told);
        return variables.get(Columns.CAUSE);
    }

    private static final class Idle extends EngineSampler {
        private static final long serialVersionUID = 1L;

        @Override
        protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
                throws InvalidElementException, EngineException, TimeoutException {
            result.success("200", "OK");
        }

        @Override
        protected void failed(ResultBuilder result, EngineException failure) {
            result.failure(failure.code(), failure.getMessage());
        }

        @Override
        protected void timedOut(ResultBuilder result, TimeoutException timeout) {
            result.failure("timeout", timeout.getMessage());
        }

        @Override
        protected String invalidCode() {
            return "invalid";
        }
    }
}
