package io.github.jmeterwebrtc.jmeter.result;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.jmeter.samplers.SampleEvent;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The {@code webrtc_*} sample variables, which JMeter writes as columns behind every row of a JTL.
 *
 * <p>They exist only in tests with WebRTC elements: when such a test starts, {@link #register()} appends the names to JMeter's
 * {@code sample_variables}, before any file is begun; when it has ended, {@link #unregister()} takes them away, so that another
 * plan in the same GUI or on the same worker has none. JMeter property {@code webrtc.columns=false} leaves them out. A row
 * carries the values of its own sample only: {@link #clear} runs before every sample.
 */
public final class Columns {
    /** What every name starts with. */
    public static final String PREFIX = "webrtc_";
    /** DNS resolution of the WebSocket, ms. */
    public static final String DNS_MS = "webrtc_dnsMs";
    /** TCP connect of the WebSocket, ms. */
    public static final String TCP_MS = "webrtc_tcpMs";
    /** TLS handshake of the WebSocket, ms. */
    public static final String TLS_MS = "webrtc_tlsMs";
    /** Upgrade request sent → response complete, ms. */
    public static final String UPGRADE_MS = "webrtc_upgradeMs";
    /** ICE candidate gathering, ms. */
    public static final String GATHER_MS = "webrtc_gatherMs";
    /** Offer sent → answer received, ms. */
    public static final String SIGNALING_MS = "webrtc_signalingMs";
    /** ICE connectivity checks, ms. */
    public static final String ICE_MS = "webrtc_iceMs";
    /** ICE connected → DTLS done, ms. */
    public static final String DTLS_MS = "webrtc_dtlsMs";
    /** DTLS done → first RTP packet in, ms. */
    public static final String FIRST_RTP_MS = "webrtc_firstRtpMs";
    /** RTP packets sent (W3C {@code packetsSent}). */
    public static final String PACKETS_SENT = "webrtc_packetsSent";
    /** RTP packets received (W3C {@code packetsReceived}). */
    public static final String PACKETS_RECEIVED = "webrtc_packetsReceived";
    /** RTP packets lost (W3C {@code packetsLost}; RFC 3550 A.3). */
    public static final String PACKETS_LOST = "webrtc_packetsLost";
    /** Interarrival jitter (RFC 3550 6.4.1), ms. */
    public static final String JITTER_MS = "webrtc_jitterMs";
    /** W3C {@code RTCPeerConnectionState} at the end of the sample. */
    public static final String STATE = "webrtc_state";
    /** Selected candidate pair, {@code local -> remote}. */
    public static final String SELECTED_PAIR = "webrtc_selectedPair";
    /** Fixed code of what failed; empty on success. */
    public static final String CAUSE = "webrtc_cause";
    /** How sure {@link #CAUSE} is: {@code certain}, {@code likely} or {@code ambiguous}; empty on success. */
    public static final String CONFIDENCE = "webrtc_confidence";
    /** {@code true} when the load generator itself was short of something during the sample; otherwise empty. */
    public static final String STARVED = "webrtc_starved";
    /** Wait in the start gate, ms; not part of the elapsed time; empty without a gate. */
    public static final String GATE_WAIT_MS = "webrtc_gateWaitMs";
    /** HTTP requests of a softphone's profile before its WebSocket, ms. */
    public static final String HTTP_MS = "webrtc_httpMs";
    /** WebSocket of a softphone open → registered, ms. */
    public static final String LOGIN_MS = "webrtc_loginMs";
    /** What {@link #CAUSE} rests on: facts with their times, in one line; empty on success. */
    public static final String EVIDENCE = "webrtc_evidence";

    /** All names, in column order. */
    public static final List<String> NAMES = Collections.unmodifiableList(Arrays.asList(
            DNS_MS, TCP_MS, TLS_MS, UPGRADE_MS, GATHER_MS, SIGNALING_MS, ICE_MS, DTLS_MS, FIRST_RTP_MS,
            PACKETS_SENT, PACKETS_RECEIVED, PACKETS_LOST, JITTER_MS, STATE, SELECTED_PAIR, CAUSE,
            CONFIDENCE, STARVED, GATE_WAIT_MS, EVIDENCE, HTTP_MS, LOGIN_MS));

    private static final Logger LOG = LoggerFactory.getLogger(Columns.class);
    private static final double MICROS_PER_MILLI = 1000.0;

    /** Stands among the variables while all columns are empty: every element of a plan clears before every sample. */
    private static final String EMPTY = "__webrtcColumnsAreEmpty";

    private static volatile boolean registered;
    /** What the user wants in {@code sample_variables}, while our names are there too. */
    private static List<String> ofUser = Collections.emptyList();

    private Columns() {
    }

    /**
     * Whether the user wants them.
     *
     * @return false with {@code webrtc.columns=false}, and outside of JMeter
     */
    public static boolean areWanted() {
        return JMeterUtils.getJMeterProperties() != null && JMeterUtils.getPropDefault("webrtc.columns", true);
    }

    /**
     * A test with WebRTC elements starts: appends the names to {@code sample_variables} unless {@code webrtc.columns=false}.
     *
     * @return whether they became part of the results now; false as well when they already were
     */
    public static synchronized boolean register() {
        if (registered || !areWanted()) {
            return false;
        }
        List<String> names = ofRun();
        Set<String> all = new LinkedHashSet<>(names);
        if (all.addAll(NAMES)) {
            // JMeter has read the list already, earlier in its start.
            write(all);
            SampleEvent.initSampleVariables();
        }
        ofUser = names;
        registered = true;
        return true;
    }

    /**
     * Leaves out of this run what a file that it will be appended to has no column for, and says so.
     *
     * @param header the header of the file
     * @param file its name, for the log
     */
    public static synchronized void fitTo(ResultsHeader header, String file) {
        if (!registered) {
            return;
        }
        List<String> run = ofRun();
        if (header.fits(run)) {
            return;
        }
        Set<String> kept = header.among(NAMES);
        List<String> left = new ArrayList<>(run);
        left.removeAll(NAMES);
        left.addAll(kept);
        if (!header.fits(left)) {
            LOG.warn("{} was begun with other sample variables than this run has ({}): JMeter will append rows that its report"
                    + " generator refuses. Write to a new file", file, run);
            return;
        }
        run.removeAll(left);
        write(left);
        SampleEvent.initSampleVariables();
        LOG.warn("{} was begun without the columns {}; they are left out of this run, so that the file stays readable. Write to"
                + " a new file to have them", file, run);
    }

    /** The test is over: what the next one has is decided at its own start. */
    public static synchronized void unregister() {
        if (registered) {
            registered = false;
            // JMeter itself takes the list over when it starts the next test; late rows of this one keep their columns.
            write(ofUser);
        }
    }

    private static List<String> ofRun() {
        List<String> names = new ArrayList<>();
        for (String name : JMeterUtils.getPropDefault(SampleEvent.SAMPLE_VARIABLES, "").split(",")) {
            if (!name.trim().isEmpty()) {
                names.add(name.trim());
            }
        }
        return names;
    }

    private static void write(Collection<String> names) {
        if (names.isEmpty()) {
            // JMeter takes an empty list for one variable without a name.
            JMeterUtils.getJMeterProperties().remove(SampleEvent.SAMPLE_VARIABLES);
        } else {
            JMeterUtils.setProperty(SampleEvent.SAMPLE_VARIABLES, String.join(",", names));
        }
    }

    /**
     * Whether the columns are part of the results.
     *
     * @return false in tests without WebRTC elements and with {@code webrtc.columns=false}
     */
    public static boolean isRegistered() {
        return registered;
    }

    /**
     * Empties all columns of a thread.
     *
     * @param variables the thread's variables; null is accepted
     */
    public static void clear(JMeterVariables variables) {
        if (variables == null || !registered || variables.getObject(EMPTY) != null) {
            return;
        }
        for (String name : NAMES) {
            variables.put(name, "");
        }
        variables.putObject(EMPTY, Boolean.TRUE);
    }

    /**
     * Writes one column.
     *
     * @param variables the thread's variables; null is accepted
     * @param name one of {@link #NAMES}
     * @param value the text
     */
    public static void put(JMeterVariables variables, String name, String value) {
        if (variables != null && registered) {
            variables.remove(EMPTY);
            variables.put(name, value);
        }
    }

    /**
     * Milliseconds with three decimals and a point, whatever the locale.
     *
     * @param micros microseconds
     * @return for example {@code 12.345}
     */
    public static String millis(long micros) {
        return String.format(Locale.ROOT, "%.3f", micros / MICROS_PER_MILLI);
    }
}
