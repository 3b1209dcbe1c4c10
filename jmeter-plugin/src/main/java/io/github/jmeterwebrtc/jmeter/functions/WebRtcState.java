package io.github.jmeterwebrtc.jmeter.functions;

import io.github.jmeterwebrtc.Session;

/** {@code ${__webrtcState(callName,variable)}}: W3C {@code RTCPeerConnectionState} of a call; {@code closed} when there is none. */
public class WebRtcState extends CallFunction {
    private static final String CLOSED = "closed";

    /** The function. */
    public WebRtcState() {
        super("__webrtcState");
    }

    @Override
    String evaluate(Evaluation evaluation) {
        Session session = evaluation.thread.scope().session(evaluation.call);
        if (session == null) {
            return CLOSED;
        }
        try {
            return session.connectionState();
        } catch (IllegalStateException e) {
            // It was closed between the two calls.
            return CLOSED;
        }
    }
}
