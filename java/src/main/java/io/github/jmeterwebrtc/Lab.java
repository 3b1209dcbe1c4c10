package io.github.jmeterwebrtc;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.atomic.AtomicBoolean;

/** A running embedded counterpart: signaling, answering peers and STUN on loopback. Must be closed. */
public final class Lab implements AutoCloseable {
    private static final long CLOSE_MS = 3_000;

    private final long handle;
    private final LeakAlarm.Watch watch;
    private final AtomicBoolean stopped = new AtomicBoolean();
    private final String signalingUrl;
    private final String stunUrl;
    private final JsonNode urls;

    Lab(long handle) {
        this.handle = handle;
        this.watch = LeakAlarm.watch(this, "lab", () -> Native.stopLab(handle, CLOSE_MS) != null);
        this.urls = Json.parse(Native.labUrls(handle));
        this.signalingUrl = urls.path("signalingUrl").asText();
        this.stunUrl = urls.path("stunUrl").asText();
    }

    /**
     * Where to signal.
     *
     * @return {@code ws://address:port/}
     */
    public String signalingUrl() {
        return signalingUrl;
    }

    /**
     * The lab's STUN server.
     *
     * @return {@code stun:address:port}
     */
    public String stunUrl() {
        return stunUrl;
    }

    /**
     * Where everything is that was started: {@code signalingUrl}, {@code stunUrl}, {@code genesysUrl} (the REST base URL, where
     * a Genesys Cloud counterpart was started), and {@code softphones}: by profile the parameters that lead a softphone to this
     * lab, such as {@code {"json":{"url"},"genesys":{"api","streaming"}}}.
     *
     * @return a JSON object
     */
    public JsonNode urls() {
        return urls;
    }

    /**
     * What the lab has seen so far: {@code socketsOpened}, {@code socketsOpen}, {@code callsAnswered},
     * {@code callsOpen}, {@code callsFailed}, {@code packetsSent}, {@code packetsReceived}, {@code packetsLost},
     * {@code socketDrops}, {@code stunRequests}.
     *
     * @return a JSON object
     */
    public JsonNode counters() {
        return Json.parse(Native.labCounters(handle));
    }

    /**
     * Ends calls and sockets.
     *
     * @param deadlineMs after this time what is left is dropped
     * @return the last counters
     * @throws IllegalStateException when it was stopped before
     */
    public JsonNode stop(long deadlineMs) {
        stopped.set(true);
        watch.end();
        byte[] counters = Native.stopLab(handle, deadlineMs);
        if (counters == null) {
            throw new IllegalStateException("the lab was stopped before");
        }
        return Json.parse(counters);
    }

    /** Stops the lab, bounded by three seconds. Idempotent. */
    @Override
    public void close() {
        if (stopped.compareAndSet(false, true)) {
            watch.end();
            Native.stopLab(handle, CLOSE_MS);
        }
    }
}
