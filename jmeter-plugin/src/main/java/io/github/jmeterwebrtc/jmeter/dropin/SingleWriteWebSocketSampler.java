package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.RequestPayload;
import io.github.jmeterwebrtc.jmeter.websocket.SingleWriteSampler;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import java.io.IOException;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;

/** WebSocket Single Write Sampler of existing plans. */
public class SingleWriteWebSocketSampler extends SingleWriteSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        new DropInSample(this, surroundings(), thread, bounded, result).run(new DropInSample.Steps() {
            @Override
            public Address check() throws InvalidElementException {
                return getCreateNewConnection()
                        ? Address.of(SingleWriteWebSocketSampler.this)
                        : Address.ofExisting(SingleWriteWebSocketSampler.this);
            }

            @Override
            public void exchange(DropInSample sample)
                    throws InvalidElementException, IOException, EngineException, TimeoutException {
                RequestPayload data = sample.describe(SingleWriteWebSocketSampler.this);
                sample.send(data.opcode(), data.bytes());
                sample.succeed();
            }
        });
    }

    /** The upgrade response has the default timeout: this sampler reads nothing else. */
    @Override
    public String getReadTimeout() {
        return DEFAULT_READ_TIMEOUT;
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

    /** As it has always been read: what does not fit a byte is cut. */
    @Override
    protected byte[] bytesOfHex(String text) {
        return HexBytes.parse(text);
    }

    @Override
    public boolean hasAutoIceByDefault() {
        return Behaviour.hasAutoIceByDefault();
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
