package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.SingleReadSampler;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;

/** WebSocket Single Read Sampler of existing plans. */
public class SingleReadWebSocketSampler extends SingleReadSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        new DropInSample(this, surroundings(), thread, bounded, result).run(new DropInSample.Steps() {
            private int timeoutMs;

            @Override
            public Address check() throws InvalidElementException {
                Address address = getCreateNewConnection() ? Address.of(SingleReadWebSocketSampler.this) : null;
                timeoutMs = Address.readTimeout(getReadTimeout());
                return address == null ? Address.ofExisting(SingleReadWebSocketSampler.this) : address;
            }

            @Override
            public boolean awaitsMessage() {
                return true;
            }

            @Override
            public void exchange(DropInSample sample) throws EngineException, TimeoutException {
                sample.describeRequest(null);
                Received received;
                try {
                    received = sample.read(timeoutMs);
                } catch (TimeoutException e) {
                    if (!getOptional() || sample.isEnded()) {
                        throw e;
                    }
                    sample.result().onJavaClock();
                    sample.succeed();
                    sample.result().success("No response", "Read timeout, no response received.");
                    return;
                }
                sample.accept(received, wanted());
            }
        });
    }

    private Opcode wanted() {
        String type = getPropertyAsString(DATA_TYPE);
        switch (OldEnum.valueOf("eu.luminis.jmeter.wssampler.SingleReadWebSocketSampler.DataType", this::getDataType, type)) {
            case Text:
                return Opcode.TEXT;
            case Binary:
                return Opcode.BINARY;
            default:
                return null;
        }
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
