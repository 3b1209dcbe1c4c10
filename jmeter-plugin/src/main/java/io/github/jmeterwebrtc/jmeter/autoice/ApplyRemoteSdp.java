package io.github.jmeterwebrtc.jmeter.autoice;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.assertions.AssertionResult;
import org.apache.jmeter.processor.PostProcessor;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.testelement.AbstractTestElement;
import org.apache.jmeter.testelement.TestStateListener;
import org.apache.jmeter.testelement.ThreadListener;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * WebRTC Apply Remote SDP: gives a call that {@code ${__webrtcOffer()}} or {@code ${__webrtcAnswer()}} makes what the other side
 * said.
 *
 * <p>The same text again changes nothing, so that it may stand under a sampler that polls. An empty text is nothing, as an
 * extractor leaves it that has found nothing. What cannot be applied fails the sample before it, as an assertion does, with the
 * reason.
 */
public class ApplyRemoteSdp extends AbstractTestElement implements PostProcessor, ThreadListener, TestStateListener {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(ApplyRemoteSdp.class);

    // Property names appear in plan files: never change them.
    /** Name of the call, as given to the function (default empty, which is a name too). */
    public static final String CALL_NAME = "callName";
    /** {@code answer}, {@code offer}, {@code pranswer} or {@code candidate} (default empty = as the text itself says). */
    public static final String TYPE = "type";
    /** The text: usually a variable that an extractor has filled (default empty = the response data of the sample before). */
    public static final String TEXT = "text";
    /** How long it may take, ms (default 5000). */
    public static final String TIMEOUT = "timeout";

    private static final List<String> TYPES = Arrays.asList("", "answer", "offer", "pranswer", "candidate");
    private static final long TIMEOUT_MS = 5_000;
    private static final long MAX_TIMEOUT_MS = 600_000;

    @Override
    public void process() {
        JMeterContext context = JMeterContextService.getContext();
        SampleResult previous = context.getPreviousResult();
        if (previous == null) {
            return;
        }
        try {
            String text = getPropertyAsString(TEXT).isEmpty() ? previous.getResponseDataAsString() : getText();
            if (!text.trim().isEmpty()) {
                apply(text, context);
            }
        } catch (InvalidElementException | IllegalArgumentException | EngineException | TimeoutException
                | CancellationException | EngineUnavailableException e) {
            fail(previous, e.getMessage());
        } catch (LinkageError e) {
            fail(previous, "The native library cannot be used: " + e.getMessage());
        }
    }

    private void apply(String text, JMeterContext context) throws InvalidElementException, EngineException, TimeoutException {
        String type = getType();
        if (!TYPES.contains(type)) {
            throw new InvalidElementException("type: '" + type + "' is not answer, offer, pranswer or candidate");
        }
        long timeoutMs = Setting.number(TIMEOUT, getTimeout(), 1, MAX_TIMEOUT_MS, TIMEOUT_MS);
        ThreadScope thread = TestRun.current().thread();
        thread.watchAutoIce(thread.scope());
        try (BoundedWait bounded = thread.beginWait(context)) {
            thread.scope().autoIceApply(bounded.operation(), CallName.ofEngine(getCallName()),
                    type.isEmpty() ? typeOf(text) : type, text, bounded.clip(timeoutMs));
        }
    }

    /** What a text says it is: a description that leaves the DTLS role open is an offer (RFC 8842 5.1). Pure. */
    static String typeOf(String text) {
        String begin = text.trim();
        if (!begin.startsWith("v=0")) {
            return "candidate";
        }
        return begin.contains("a=setup:actpass") ? "offer" : "answer";
    }

    private void fail(SampleResult previous, String why) {
        LOG.warn("'{}': {}", getName(), why);
        AssertionResult failure = new AssertionResult(getName());
        failure.setFailure(true);
        failure.setFailureMessage(why);
        previous.addAssertionResult(failure);
        previous.setSuccessful(false);
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

    @Override
    public void threadStarted() {
        // The thread's scope is made when it is first used.
    }

    @Override
    public void threadFinished() {
        TestRun.threadFinished();
    }

    /** @return {@link #CALL_NAME}, trimmed */
    public String getCallName() {
        return getPropertyAsString(CALL_NAME).trim();
    }

    /** @param name {@link #CALL_NAME} */
    public void setCallName(String name) {
        setProperty(CALL_NAME, name);
    }

    /** @return {@link #TYPE}, trimmed */
    public String getType() {
        return getPropertyAsString(TYPE).trim();
    }

    /** @param type {@link #TYPE} */
    public void setType(String type) {
        setProperty(TYPE, type);
    }

    /** @return {@link #TEXT} */
    public String getText() {
        return getPropertyAsString(TEXT);
    }

    /** @param text {@link #TEXT} */
    public void setText(String text) {
        setProperty(TEXT, text);
    }

    /** @return {@link #TIMEOUT}, trimmed */
    public String getTimeout() {
        return getPropertyAsString(TIMEOUT).trim();
    }

    /** @param millis {@link #TIMEOUT} */
    public void setTimeout(String millis) {
        setProperty(TIMEOUT, millis);
    }
}
