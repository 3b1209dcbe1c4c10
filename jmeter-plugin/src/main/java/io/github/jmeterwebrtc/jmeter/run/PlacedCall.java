package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.CallOutcome;
import io.github.jmeterwebrtc.Session;
import java.util.concurrent.TimeUnit;

/**
 * A call that a {@code WebRTC Call} sampler connected, or one of Auto ICE in whatever state, and nobody has hung up yet. Used by
 * its JMeter thread only.
 */
public final class PlacedCall {
    private final String name;
    private final Session session;
    private final JsonNode outcome;
    private final long startedMillis;
    private boolean lost;

    /**
     * Remembers a connected call.
     *
     * @param name the plan's name of the call
     * @param outcome a successful outcome
     */
    public PlacedCall(String name, CallOutcome outcome) {
        this.name = name;
        this.session = outcome.session();
        this.outcome = outcome.json();
        this.startedMillis = System.currentTimeMillis() - TimeUnit.MICROSECONDS.toMillis(outcome.elapsedUs());
    }

    /** A call that a message of the plan has started; its outcome and its loss are told by Auto ICE itself. */
    PlacedCall(String name, Session session) {
        this.name = name;
        this.session = session;
        this.outcome = null;
        this.startedMillis = System.currentTimeMillis();
    }

    /**
     * A moment of the call on the wall clock.
     *
     * @param sinceStartUs µs since the call started; now when it is no number
     * @return ms since 1970, to a few ms; never later than now
     */
    long epochMillis(JsonNode sinceStartUs) {
        long now = System.currentTimeMillis();
        return sinceStartUs.isNumber()
                ? Math.min(now, startedMillis + TimeUnit.MICROSECONDS.toMillis(sinceStartUs.asLong()))
                : now;
    }

    /**
     * The plan's name of the call.
     *
     * @return may be empty
     */
    public String name() {
        return name;
    }

    /**
     * The session.
     *
     * @return never null
     */
    public Session session() {
        return session;
    }

    /**
     * What placing it said.
     *
     * @return the engine's outcome JSON; null for a call of Auto ICE
     */
    public JsonNode outcome() {
        return outcome;
    }

    /**
     * Whether the call is connected now.
     *
     * @return false after it failed, was closed or was lost
     */
    public boolean isConnected() {
        return !lost && "connected".equals(session.connectionState());
    }

    /**
     * Whether a message of the plan has started it.
     *
     * @return false for a call that a sampler has placed
     */
    public boolean isAutoIce() {
        return outcome == null;
    }

    /**
     * Whether the call was found lost, by whatever element looked.
     *
     * @return true for good once it was
     */
    public boolean isLost() {
        return lost || isAutoIce() && session.isLost();
    }

    void setLost() {
        lost = true;
    }
}
