package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.OpenConnectionSampler;
import org.apache.jmeter.config.ConfigTestElement;

/** WebSocket Open Connection of existing plans. */
public class OpenWebSocketSampler extends OpenConnectionSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        new DropInSample(this, surroundings(), thread, bounded, result).run(new DropInSample.Steps() {
            @Override
            public Address check() throws InvalidElementException {
                return Address.of(OpenWebSocketSampler.this);
            }

            @Override
            public void exchange(DropInSample sample) {
                sample.succeed();
            }
        });
    }

    @Override
    protected BoundedWait beginWait(ThreadScope thread) {
        return DropInTest.beginWait(this, thread);
    }

    /** As in old plans: a Sample Timeout has no effect on it. */
    @Override
    protected boolean heedsInterrupts() {
        return false;
    }

    /** Every configuration element in scope is merged in, as old plans rely on. */
    @Override
    public boolean applies(ConfigTestElement configElement) {
        return true;
    }

    @Override
    public void threadStarted() {
        super.threadStarted();
        DropInTest.threadStarted(getThreadContext());
    }

    @Override
    public void threadFinished() {
        DropInTest.threadFinished();
        super.threadFinished();
    }
}
