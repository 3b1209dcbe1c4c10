package io.github.jmeterwebrtc.jmeter.config;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import java.util.Arrays;
import java.util.Locale;
import org.apache.jmeter.testelement.TestElement;

/**
 * The settings of {@link WebRtcDefaults} as one sample finds them, checked by field name. Only what is set is handed to the
 * engine, so that the defaults are the engine's.
 */
public final class CallSettings {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long MAX_TIMEOUT_MS = 3_600_000;
    private static final long GATHER_MS = 5_000;
    private static final long ANSWER_MS = 10_000;
    private static final long CONNECT_MS = 30_000;
    private static final long FIRST_RTP_MS = 5_000;
    private static final long BYE_MS = 5_000;
    /** What the deadline of a call leaves beyond the deadlines of its phases, ms. */
    private static final long MARGIN_MS = 2_000;
    /** How long the call of a softphone may ring unless set, ms. */
    private static final long SOFTPHONE_ANSWER_MS = 30_000;

    private final ObjectNode config;
    private final long overallTimeoutMs;
    private final long byeTimeoutMs;

    private CallSettings(ObjectNode config, long overallTimeoutMs, long byeTimeoutMs) {
        this.config = config;
        this.overallTimeoutMs = overallTimeoutMs;
        this.byeTimeoutMs = byeTimeoutMs;
    }

    /**
     * Reads the settings that were merged into a sampler.
     *
     * @param element the sampler
     * @return checked settings
     * @throws InvalidElementException naming field and value
     */
    public static CallSettings of(TestElement element) throws InvalidElementException {
        ObjectNode call = JSON.createObjectNode();
        ObjectNode session = call.putObject("session");
        iceServers(text(element, WebRtcDefaults.ICE_SERVERS), session);
        putText(session, "iceTransportPolicy", text(element, WebRtcDefaults.ICE_TRANSPORT_POLICY));
        putText(session, "sourceAddress", text(element, WebRtcDefaults.SOURCE_ADDRESS));
        putFlag(session, "trickle", text(element, WebRtcDefaults.TRICKLE));
        codecs(text(element, WebRtcDefaults.CODECS), session);
        putFlag(session, "sendAudio", text(element, WebRtcDefaults.SEND_AUDIO));
        long gather = putTimeout(session, "gatherTimeout", text(element, WebRtcDefaults.GATHER_TIMEOUT), GATHER_MS);
        long connect = putTimeout(session, "connectTimeout", text(element, WebRtcDefaults.CONNECT_TIMEOUT), CONNECT_MS);
        putTimeout(session, "iceCheckInterval", text(element, WebRtcDefaults.ICE_CHECK_INTERVAL), 0);
        long answer = putTimeout(call, "answerTimeout", text(element, WebRtcDefaults.ANSWER_TIMEOUT), ANSWER_MS);
        long firstRtp = putTimeout(call, "firstRtpTimeout", text(element, WebRtcDefaults.FIRST_RTP_TIMEOUT), FIRST_RTP_MS);
        long bye = putTimeout(call, "byeTimeout", text(element, WebRtcDefaults.BYE_TIMEOUT), BYE_MS);
        GateSettings.put(call, element);
        return new CallSettings(call, gather + answer + connect + firstRtp + MARGIN_MS, bye);
    }

    /**
     * The bound of hanging up, read alone.
     *
     * @param element the sampler
     * @return ms
     * @throws InvalidElementException naming field and value
     */
    public static long byeTimeoutMs(TestElement element) throws InvalidElementException {
        return Setting.number("byeTimeout", text(element, WebRtcDefaults.BYE_TIMEOUT), 1, MAX_TIMEOUT_MS, BYE_MS);
    }

    /**
     * The engine's call configuration, to be completed by the sampler.
     *
     * @return a JSON object
     */
    public ObjectNode config() {
        return config;
    }

    /**
     * The engine's configuration of a call of a softphone, to be completed by the sampler. The settings of its session are
     * those that it was registered with.
     *
     * @return a JSON object of its own
     */
    public ObjectNode softphoneCall() {
        ObjectNode call = config.deepCopy();
        JsonNode connectTimeoutMs = call.path("session").path("connectTimeoutMs");
        call.remove(Arrays.asList("session", "byeTimeoutMs"));
        if (connectTimeoutMs.isNumber()) {
            call.set("connectTimeoutMs", connectTimeoutMs);
        }
        return call;
    }

    /**
     * As {@link #overallTimeoutMs()}, for a call of a softphone, which may ring longer.
     *
     * @return ms
     */
    public long softphoneTimeoutMs() {
        return config.has("answerTimeoutMs") ? overallTimeoutMs : overallTimeoutMs - ANSWER_MS + SOFTPHONE_ANSWER_MS;
    }

    /**
     * Deadline of the whole call set-up: that of all phases one after the other, with a margin.
     *
     * @return ms
     */
    public long overallTimeoutMs() {
        return overallTimeoutMs;
    }

    /**
     * The bound of hanging up.
     *
     * @return ms
     */
    public long byeTimeoutMs() {
        return byeTimeoutMs;
    }

    private static String text(TestElement element, String property) {
        return element.getPropertyAsString(property).trim();
    }

    private static void iceServers(String value, ObjectNode session) throws InvalidElementException {
        if (value.isEmpty()) {
            return;
        }
        JsonNode servers;
        try {
            servers = JSON.readTree(value);
        } catch (JsonProcessingException e) {
            // The text may hold credentials: only the place of the mistake is told.
            throw new InvalidElementException("iceServers: not JSON at line " + e.getLocation().getLineNr() + ", column "
                    + e.getLocation().getColumnNr() + "; expected an array of RTCIceServer objects, for example"
                    + " [{\"urls\":[\"stun:stun.example.org\"]}]");
        }
        if (!servers.isArray()) {
            throw new InvalidElementException("iceServers: expected a JSON array of RTCIceServer objects, found "
                    + servers.getNodeType().name().toLowerCase(Locale.ROOT));
        }
        for (JsonNode server : servers) {
            // W3C allows one URL as well as a list.
            if (server.isObject() && server.path("urls").isTextual()) {
                ObjectNode object = (ObjectNode) server;
                String url = server.path("urls").asText();
                object.putArray("urls").add(url);
            }
        }
        session.set("iceServers", servers);
    }

    private static void codecs(String value, ObjectNode session) {
        if (value.isEmpty()) {
            return;
        }
        ArrayNode codecs = session.putArray("codecs");
        for (String codec : value.split(",")) {
            codecs.add(codec.trim().toLowerCase(Locale.ROOT));
        }
    }

    private static void putText(ObjectNode target, String field, String value) {
        if (!value.isEmpty()) {
            target.put(field, value);
        }
    }

    private static void putFlag(ObjectNode target, String field, String value) throws InvalidElementException {
        Boolean flag = Setting.flag(field, value);
        if (flag != null) {
            target.put(field, flag.booleanValue());
        }
    }

    private static long putTimeout(ObjectNode target, String field, String value, long absent)
            throws InvalidElementException {
        long millis = Setting.number(field, value, 1, MAX_TIMEOUT_MS, absent);
        if (!value.isEmpty()) {
            target.put(field + "Ms", millis);
        }
        return millis;
    }
}
