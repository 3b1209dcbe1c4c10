package io.github.jmeterwebrtc.jmeter.autoice;

import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceMode;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceScope;
import io.github.jmeterwebrtc.jmeter.plan.OwnSocket;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import io.github.jmeterwebrtc.jmeter.run.WebRtcResults;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.engine.util.NoConfigMerge;
import org.apache.jmeter.processor.PostProcessor;
import org.apache.jmeter.samplers.SampleMonitor;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.samplers.Sampler;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.TestStateListener;
import org.apache.jmeter.testelement.ThreadListener;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * WebRTC Auto ICE: live calls behind the session descriptions that samplers in its scope send, whichever kind they are, and the
 * settings of Auto ICE for WebSocket samplers in its scope.
 *
 * <p>Right before a sample (after its timers) the texts of the sampler are looked at, live descriptions and candidates take the
 * place of canned ones, and after the sample JMeter itself puts the sampler's own texts back. The reply is read and never
 * changed. Scripts are left alone: JMeter compiles them once. The time this takes is in no sample. What goes wrong leaves the message
 * as it is, and the log says why.
 *
 * <p>Loading such an element adds the {@link Columns} to the results of the plan.
 */
public class AutoIce extends ConfigTestElement
        implements NoConfigMerge, AutoIceScope, SampleMonitor, PostProcessor, ThreadListener, TestStateListener {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(AutoIce.class);

    // Property names appear in plan files: never change them.
    /** {@code on}, {@code report} or {@code off} (default empty = the JMeter property, or else {@code on}). */
    public static final String MODE = "AutoIce.mode";
    /** {@code true} = keep the text of a description and replace only what belongs to ICE, DTLS and SSRCs (boolProp, default false). */
    public static final String OVERLAY = "AutoIce.overlay";
    /** Name of the field that tells dialogs apart, where the plan's protocol has one of its own (default empty). */
    public static final String DIALOG_FIELD = "AutoIce.dialogField";
    /** Longest wait for candidates before an offer goes out, ms (default 500). */
    public static final String GATHER_WAIT = "AutoIce.gatherWait";
    /** Longest wait for the offer that an answer belongs to, ms (default 2000). */
    public static final String ANSWER_WAIT = "AutoIce.answerWait";

    private static final Set<String> TOLD = ConcurrentHashMap.newKeySet();

    static {
        WebRtcResults.prepare();
    }

    private transient OutgoingTexts texts;

    /**
     * Swaps, if this is the element that the sampler is in the scope of. Never throws: the plan's sample goes on.
     */
    @Override
    public void sampleStarting(Sampler sampler) {
        JMeterContext context = JMeterContextService.getContext();
        Columns.clear(context.getVariables());
        TestRun.beforeSample(sampler, context);
        if (sampler instanceof OwnSocket || AutoIceSettings.innermost(context) != this) {
            return;
        }
        try {
            AutoIceSettings settings = AutoIceSettings.ofElement(this, context);
            if (settings != null) {
                texts().swap((TestElement) sampler, settings, context);
            }
        } catch (InvalidElementException | IllegalArgumentException e) {
            tell("Nothing is swapped for '" + sampler.getName() + "': " + e.getMessage());
        } catch (EngineUnavailableException | LinkageError e) {
            tell("Nothing is swapped, the native library cannot be used: " + e.getMessage());
        } catch (RuntimeException e) {
            LOG.error("'{}': the messages of '{}' go out as they are: {}", getName(), sampler.getName(), e.getMessage(), e);
        }
    }

    /** Each sentence once: it would be the same for every sample. */
    private void tell(String sentence) {
        if (TOLD.add(getName() + sentence)) {
            LOG.error("'{}': {}", getName(), sentence);
        }
    }

    @Override
    public void sampleEnded(Sampler sampler) {
        // The reply is read by process(), which JMeter calls only for samplers in scope.
    }

    /** Reads the reply. Never throws. */
    @Override
    public void process() {
        JMeterContext context = JMeterContextService.getContext();
        SampleResult reply = context.getPreviousResult();
        if (reply == null || texts == null || AutoIceSettings.innermost(context) != this) {
            return;
        }
        try {
            texts.read(reply);
        } catch (EngineUnavailableException | LinkageError e) {
            tell("Replies are not read, the native library cannot be used: " + e.getMessage());
        } catch (RuntimeException e) {
            LOG.error("'{}': the reply to '{}' was not read: {}", getName(), reply.getSampleLabel(), e.getMessage(), e);
        }
    }

    private OutgoingTexts texts() {
        if (texts == null) {
            texts = new OutgoingTexts();
        }
        return texts;
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
        TOLD.clear();
        TestRun.ended();
    }

    @Override
    public void testEnded(String host) {
        testEnded();
    }

    @Override
    public void threadStarted() {
        // The thread's scope is made when its first message is looked at.
    }

    @Override
    public void threadFinished() {
        if (texts != null) {
            texts.close();
        }
        TestRun.threadFinished();
    }

    @Override
    public AutoIceMode wanted() {
        return AutoIceMode.of(getMode());
    }

    /** The mode where the JMeter property is not set. */
    AutoIceMode mode() throws InvalidElementException {
        if (getMode().isEmpty()) {
            return AutoIceMode.ON;
        }
        AutoIceMode mode = wanted();
        if (mode == null) {
            throw new InvalidElementException("CONFIG", "mode: '" + getMode() + "' is not on, report or off");
        }
        return mode;
    }

    /** @return {@link #MODE}, trimmed */
    public String getMode() {
        return getPropertyAsString(MODE).trim();
    }

    /** @param mode {@link #MODE} */
    public void setMode(String mode) {
        setProperty(MODE, mode);
    }

    /** @return {@link #OVERLAY} */
    public boolean getOverlay() {
        return getPropertyAsBoolean(OVERLAY);
    }

    /** @param overlay {@link #OVERLAY} */
    public void setOverlay(boolean overlay) {
        setProperty(OVERLAY, overlay);
    }

    /** @return {@link #DIALOG_FIELD}, trimmed */
    public String getDialogField() {
        return getPropertyAsString(DIALOG_FIELD).trim();
    }

    /** @param field {@link #DIALOG_FIELD} */
    public void setDialogField(String field) {
        setProperty(DIALOG_FIELD, field);
    }

    /** @return {@link #GATHER_WAIT}, trimmed */
    public String getGatherWait() {
        return getPropertyAsString(GATHER_WAIT).trim();
    }

    /** @param millis {@link #GATHER_WAIT} */
    public void setGatherWait(String millis) {
        setProperty(GATHER_WAIT, millis);
    }

    /** @return {@link #ANSWER_WAIT}, trimmed */
    public String getAnswerWait() {
        return getPropertyAsString(ANSWER_WAIT).trim();
    }

    /** @param millis {@link #ANSWER_WAIT} */
    public void setAnswerWait(String millis) {
        setProperty(ANSWER_WAIT, millis);
    }
}
