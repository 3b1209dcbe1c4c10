package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What has become of a call of Auto ICE: that it came up or did not, or that it was lost later. */
public final class AutoIceResult {
    private final JsonNode json;

    private AutoIceResult(JsonNode json) {
        this.json = json;
    }

    /**
     * Reads member {@code autoIce} of what {@link Scope#close(long)} gives.
     *
     * @param array a JSON array; anything else is an empty one
     * @return in the order of the array
     */
    public static List<AutoIceResult> list(JsonNode array) {
        List<AutoIceResult> results = new ArrayList<>();
        array.forEach(result -> results.add(new AutoIceResult(result)));
        return results;
    }

    static List<AutoIceResult> list(byte[] array) {
        return array == null ? Collections.emptyList() : list(Json.parse(array));
    }

    /**
     * Whether a call was lost that had been up.
     *
     * @return true: {@link #lost()} says how; false: {@link #outcome()} says whether it came up
     */
    public boolean isLost() {
        return json.path("kind").asText().equals("lost");
    }

    /**
     * The name under which {@link Scope#session} has the session as long as the call lives: the dialog's id, or
     * {@code auto}, {@code auto-2}, …
     *
     * @return the call's name
     */
    public String callName() {
        return json.path("callName").asText();
    }

    /**
     * The id of the dialog (SIP Call-ID, session or call id), as the plan's messages name it.
     *
     * @return empty where they name none
     */
    public String dialog() {
        return json.path("dialog").asText("");
    }

    /**
     * Whose messages carry the call: the name of the socket, channel or function call.
     *
     * @return a name
     */
    public String place() {
        return json.path("place").asText();
    }

    /**
     * Which side the plan is.
     *
     * @return true when the plan offered, false when it answered
     */
    public boolean isOffering() {
        return json.path("role").asText().equals("offer");
    }

    /**
     * When the call started: the plan's offer (or answer) was with the kernel. Times of outcome and loss count from it.
     *
     * @return ms since the epoch
     */
    public long startEpochMs() {
        return json.path("startEpochMs").asLong();
    }

    /**
     * How setting the call up went, shaped as that of a placed call, with {@code notes}: an array of sentences about what
     * was negotiated differently from what the plan says. {@link CallOutcome#session()} is null: the session is found by
     * {@link #callName()}.
     *
     * @return null when it {@link #isLost()}
     */
    public CallOutcome outcome() {
        return isLost() ? null : new CallOutcome(json.path("outcome"), null);
    }

    /**
     * How the call was lost: {@code code}, {@code message}, {@code atUs} (since the start), {@code starved} and the verdict's
     * {@code cause}, {@code confidence}, {@code evidence}, {@code advice}, {@code also}; as {@code lost} of
     * {@link Session#report()}.
     *
     * @return null when it is not {@link #isLost()}
     */
    public JsonNode lost() {
        return isLost() ? json.path("lost") : null;
    }

    /**
     * Everything: {@code kind}, {@code callName}, {@code dialog}, {@code place}, {@code role}, {@code startEpochMs},
     * {@code outcome} or {@code lost}, and beside {@code lost} the {@code report} of the session.
     *
     * @return a JSON object
     */
    public JsonNode json() {
        return json;
    }
}
