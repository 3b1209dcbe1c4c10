package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.RequestPayload;
import io.github.jmeterwebrtc.jmeter.websocket.RequestResponseSampler;
import io.github.jmeterwebrtc.jmeter.websocket.filter.HexBytes;
import java.io.IOException;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;

/** WebSocket request-response Sampler of existing plans. */
public class RequestResponseWebSocketSampler extends RequestResponseSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        new DropInSample(this, surroundings(), thread, bounded, result).run(new DropInSample.Steps() {
            private int timeoutMs;

            @Override
            public Address check() throws InvalidElementException {
                Address address = getCreateNewConnection() ? Address.of(RequestResponseWebSocketSampler.this) : null;
                timeoutMs = Address.readTimeout(getReadTimeout());
                return address == null ? Address.ofExisting(RequestResponseWebSocketSampler.this) : address;
            }

            @Override
            public boolean awaitsMessage() {
                return true;
            }

            @Override
            public void exchange(DropInSample sample)
                    throws InvalidElementException, IOException, EngineException, TimeoutException {
                RequestPayload data = sample.describe(RequestResponseWebSocketSampler.this);
                sample.accept(sample.ask(data.opcode(), data.bytes(), timeoutMs), data.opcode());
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
