package io.github.jmeterwebrtc.jmeter.dropin;

import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the drop-in elements do differently from the plugin they stand in for: a closed list, each with its own switch.
 *
 * <p>{@code webrtc.websocket.compat=strict} turns all of it off, {@code fixed} (the default) all of it on; in fixed mode
 * {@code webrtc.websocket.fix.NAME=false} turns one off. Read once per test. Immutable.
 */
final class Behaviour {
    /** JMeter property: {@code fixed} (default) or {@code strict}. */
    static final String COMPAT = "webrtc.websocket.compat";
    /** Prefix of the JMeter properties that turn single differences off. */
    static final String FIX = "webrtc.websocket.fix.";
    /** JMeter property: interval of keep-alive pings in fixed mode, seconds (default 0 = none). */
    static final String PING_INTERVAL = "webrtc.websocket.ping_interval_s";
    /** JMeter property: text message to send as keep-alive instead of a ping frame (default empty). */
    static final String PING_TEXT = "webrtc.websocket.ping_text";
    /** JMeter property: whether certificates of servers are verified, in either mode (default false, as JMeter's HTTP samplers). */
    static final String VERIFY = "webrtc.websocket.verify";

    private static final Logger LOG = LoggerFactory.getLogger(Behaviour.class);
    private static final String STRICT = "strict";
    private static final String FIXED = "fixed";
    private static final long MOST_PING_SECONDS = 86_400;
    private static final long MILLIS_PER_SECOND = 1_000;

    private final boolean fixed;
    private final boolean pong;
    private final boolean end;
    private final boolean connectionHeader;
    private final boolean latency;
    private final boolean dnsCache;
    private final boolean closeEcho;
    private final boolean setCookie;
    private final boolean parallel;
    private final boolean lateMark;
    private final boolean countsDiscarded = JMeterUtils.getPropDefault("websocket.result.size_includes_filtered_frames", false);
    private final boolean verifiesCertificates = JMeterUtils.getPropDefault(VERIFY, false);
    private final long pingIntervalMs;
    private final String pingText;

    private Behaviour(boolean fixed) {
        this.fixed = fixed;
        pong = fix("pong");
        end = fix("end");
        connectionHeader = fix("connection_header");
        latency = fix("latency");
        dnsCache = fix("dns_cache");
        closeEcho = fix("close_echo");
        setCookie = fix("set_cookie");
        parallel = fix("parallel");
        lateMark = fix("late_mark");
        pingIntervalMs = fixed ? pingInterval() : 0;
        pingText = JMeterUtils.getPropDefault(PING_TEXT, "");
    }

    /**
     * The behaviour that JMeter's properties ask for.
     *
     * @return fixed where the property has no usable value, which is logged
     */
    static Behaviour ofProperties() {
        String mode = wanted();
        if (!mode.equals(STRICT) && !mode.equals(FIXED)) {
            LOG.error("{}: '{}' is neither {} nor {}; using {}", COMPAT, mode, STRICT, FIXED, FIXED);
        }
        return new Behaviour(!mode.equals(STRICT));
    }

    private static String wanted() {
        return JMeterUtils.getPropDefault(COMPAT, FIXED).trim();
    }

    /**
     * Whether Auto ICE reads the messages of drop-in elements without being asked to. Strict mode sends what the plan says. Asked for
     * every element of a plan, before there is a test.
     */
    static boolean hasAutoIceByDefault() {
        return !wanted().equals(STRICT);
    }

    private boolean fix(String name) {
        return fixed && JMeterUtils.getPropDefault(FIX + name, true);
    }

    private static long pingInterval() {
        String text = JMeterUtils.getPropDefault(PING_INTERVAL, "0").trim();
        try {
            long seconds = Long.parseLong(text);
            if (seconds >= 0 && seconds <= MOST_PING_SECONDS) {
                return seconds * MILLIS_PER_SECOND;
            }
        } catch (NumberFormatException e) {
            LOG.debug("{}", e.getMessage());
        }
        LOG.error("{}: '{}' is not between 0 and {}; no pings are sent", PING_INTERVAL, text, MOST_PING_SECONDS);
        return 0;
    }

    /** The mode in one word. */
    String mode() {
        return fixed ? FIXED : STRICT;
    }

    /** Pings are answered in the background and do not reach samplers. */
    boolean answersPings() {
        return pong;
    }

    /** The end of a connection is noticed between samplers, and writing to an ended one fails. */
    boolean noticesEnd() {
        return end;
    }

    /** Nothing is read, answered or noticed while no sampler reads. */
    boolean readsOnDemand() {
        return !pong && !end && pingIntervalMs == 0;
    }

    /** {@code Connection: keep-alive, Upgrade} is accepted. */
    boolean acceptsConnectionList() {
        return connectionHeader;
    }

    /** Latency is the time to the first byte of the response. */
    boolean setsLatency() {
        return latency;
    }

    /** JMeter's DNS Cache Manager resolves host names. */
    boolean usesDnsCache() {
        return dnsCache;
    }

    /** A close frame of the server is answered when it is read: at once, or by the next sampler where nothing is read in between. */
    boolean echoesClose() {
        return closeEcho;
    }

    /** {@code Set-Cookie} of the upgrade response goes to the Cookie Manager. */
    boolean storesCookies() {
        return setCookie;
    }

    /** Threads that a controller starts for its children find the connections of the thread it runs in. */
    boolean sharesWithChildren() {
        return parallel;
    }

    /** The response headers of a sample say that it got the first frame after another one's timeout. */
    boolean marksLateReplies() {
        return lateMark;
    }

    /** Frames that filters discard are part of the size of the sample; a property of the plugin itself. */
    boolean countsDiscarded() {
        return countsDiscarded;
    }

    /** Servers have to prove who they are, where the element itself does not say otherwise. */
    boolean verifiesCertificates() {
        return verifiesCertificates;
    }

    /** Interval of keep-alive pings, ms; 0 = none. */
    long pingIntervalMs() {
        return pingIntervalMs;
    }

    /** Text of keep-alive messages; empty = ping frames. */
    String pingText() {
        return pingText;
    }
}
