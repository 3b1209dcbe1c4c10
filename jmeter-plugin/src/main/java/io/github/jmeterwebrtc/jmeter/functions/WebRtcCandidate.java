package io.github.jmeterwebrtc.jmeter.functions;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeoutException;

/**
 * {@code ${__webrtcCandidate(callName,member,variable)}}: the next candidate of a call, the same one throughout a sample; the last one
 * again when there are no more.
 */
public class WebRtcCandidate extends CallFunction {
    private static final String MADE = "candidate.";
    private static final String JSON = "json";
    private static final String CANDIDATE = "candidate";
    private static final List<String> MEMBERS =
            Arrays.asList(CANDIDATE, "sdpMid", "sdpMLineIndex", "usernameFragment", JSON);
    private static final long DEADLINE_MS = 5_000;

    /** The function. */
    public WebRtcCandidate() {
        super("__webrtcCandidate",
                "Member of RTCIceCandidateInit: candidate (default), sdpMid, sdpMLineIndex, usernameFragment; json = all of it");
    }

    @Override
    String evaluate(Evaluation evaluation) throws InvalidElementException, EngineException, TimeoutException {
        String member = evaluation.parameter(1).isEmpty() ? CANDIDATE : evaluation.parameter(1);
        if (!MEMBERS.contains(member)) {
            throw new InvalidElementException("member: '" + member + "' is none of " + String.join(", ", MEMBERS));
        }
        JsonNode candidate = evaluation.made(MADE, JsonNode.class);
        if (candidate == null) {
            candidate = evaluation.thread.scope().autoIceCandidate(evaluation.bounded.operation(), evaluation.call,
                    evaluation.bounded.clip(DEADLINE_MS));
            if (candidate == null) {
                throw new InvalidElementException("callName: the call '" + evaluation.call + "' has found no candidate");
            }
            evaluation.remember(MADE, candidate);
        }
        return member.equals(JSON) ? candidate.toString() : candidate.path(member).asText("");
    }
}
