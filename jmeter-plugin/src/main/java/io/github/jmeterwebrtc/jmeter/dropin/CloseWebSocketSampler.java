package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.CloseSampler;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;

/** WebSocket Close of existing plans. */
public class CloseWebSocketSampler extends CloseSampler {
    private static final long serialVersionUID = 1L;

    private static final String REASON = "sampler requested close";

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result) {
        new DropInSample(this, surroundings(), thread, bounded, result).run(new DropInSample.Steps() {
            private int timeoutMs;

            @Override
            public Address check() throws InvalidElementException {
                timeoutMs = Address.readTimeout(getReadTimeout());
                return Address.ofExisting(CloseWebSocketSampler.this);
            }

            @Override
            public String absent() {
                result.request("No request sent.");
                return "No connection; nothing to close.";
            }

            @Override
            public String absentCode() {
                return "";
            }

            @Override
            public void exchange(DropInSample sample) throws EngineException, TimeoutException {
                sample.describeRequest(null);
                int wanted = Integer.parseInt(getPropertyAsString(STATUS_CODE, "1000"));
                result.request("Requested connection close with status " + wanted + " and reason '" + REASON + "'.");
                sample.sendClose(wanted, REASON);
                Received received = sample.read(timeoutMs);
                if (received.kind() != Opcode.CLOSE) {
                    result.untimed();
                    result.failure("WebSocket error: unsuccesful close.",
                            "WebSocket error: received not a close frame, but " + received.words());
                    return;
                }
                sample.count(received);
                sample.showResponseHeaders();
                Integer code = FrameWords.closeStatus(received.payload());
                String reason = FrameWords.closeReason(received.payload());
                String status = code == null ? "" : code.toString();
                result.success(status, reason == null
                        ? "Connection closed."
                        : "Connection closed; close reason: '" + reason + "'.");
                result.text(reason == null ? status : status + ": " + reason);
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
