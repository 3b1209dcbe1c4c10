package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;

/** WebSocket Open Connection: opens a connection under a name; an open one of that name is dropped first. */
public class OpenConnectionSampler extends WebSocketSampler {
    private static final long serialVersionUID = 1L;

    /** Who owns the connection: {@code thread} (default) or {@code test}, for sharing it between threads. */
    public static final String SCOPE = "scope";
    /** {@link #SCOPE}: the JMeter thread owns it. */
    public static final String SCOPE_THREAD = "thread";
    /** {@link #SCOPE}: the test owns it; all threads find it by its connection id. */
    public static final String SCOPE_TEST = "test";

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        ConnectionRequest request = ConnectionRequest.of(this);
        result.request(connectText(request.url(), false, null));
        String scope = getScope();
        boolean test = SCOPE_TEST.equals(scope);
        if (!test && !scope.isEmpty() && !SCOPE_THREAD.equals(scope)) {
            throw new InvalidElementException("Scope ('scope') '" + scope + "' is not thread or test.");
        }
        open(request, test ? thread.run().testScope() : thread.scope(), thread, bounded, result);
        succeed(result, true);
    }

    /** @return {@link #SCOPE}, trimmed */
    public String getScope() {
        return getPropertyAsString(SCOPE).trim();
    }

    /** @param scope {@link #SCOPE} */
    public void setScope(String scope) {
        setProperty(SCOPE, scope);
    }
}
