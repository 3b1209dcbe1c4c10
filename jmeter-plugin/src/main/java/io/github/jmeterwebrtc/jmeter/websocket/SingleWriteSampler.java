package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/** WebSocket Single Write Sampler: sends one frame. Fails when the connection is gone, with the reason why. */
public class SingleWriteSampler extends RequestSampler {
    private static final long serialVersionUID = 1L;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = readTimeoutMs();
        boolean fresh = getCreateNewConnection();
        if (sendRequest(thread, bounded, result, fresh, timeoutMs) != null) {
            succeed(result, fresh);
        }
    }

    @Override
    boolean readsFrames() {
        return false;
    }
}
