package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;

/** WebSocket Ping/Pong of existing plans. */
public class PingPongSampler extends io.github.jmeterwebrtc.jmeter.websocket.PingPongSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        new DropInSample(this, surroundings(), thread, bounded, result).run(new DropInSample.Steps() {
            private int timeoutMs;

            @Override
            public Address check() throws InvalidElementException {
                timeoutMs = Address.readTimeout(getReadTimeout());
                return Address.ofExisting(PingPongSampler.this);
            }

            @Override
            public String absent() {
                return "Sampler must use existing connection, but there is no connection";
            }

            @Override
            public void exchange(DropInSample sample) throws EngineException, TimeoutException {
                sample.describeRequest(null);
                if (type() == Type.Pong) {
                    sample.send(Opcode.PONG, new byte[0]);
                    sample.succeed();
                    return;
                }
                sample.send(Opcode.PING, new byte[0]);
                Received received = sample.read(timeoutMs);
                if (received.kind() == Opcode.PONG) {
                    sample.count(received);
                    sample.succeed();
                } else {
                    sample.unexpected(received);
                }
            }
        });
    }

    private Type type() {
        String type = getPropertyAsString(TYPE, Type.PingPong.name());
        return OldEnum.valueOf("eu.luminis.jmeter.wssampler.PingPongSampler.Type", () -> Type.valueOf(type), type);
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
