package io.github.jmeterwebrtc.jmeter.lab;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.EngineUnavailableException;
import io.github.jmeterwebrtc.Lab;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.engine.util.NoConfigMerge;
import org.apache.jmeter.testelement.TestStateListener;
import org.apache.jmeter.testelement.ThreadListener;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * WebRTC Lab Server: a counterpart inside JMeter for small plans: signaling, answering peers and STUN on loopback.
 *
 * <p>It runs from the start to the end of the test. Where it listens is published under {@link #VARIABLE_PREFIX} as JMeter
 * properties at once and as variables of every thread: {@code …Url} ({@code ws://127.0.0.1:…/}), {@code …Host},
 * {@code …Port} and {@code …Stun} ({@code stun:127.0.0.1:…}); and for softphones of a profile the parameters that lead them here,
 * such as {@code …GenesysApi} and {@code …GenesysStreaming}. When it cannot start, the log says why and the variables are
 * not there. For real measurements run {@code webrtc-lab} as a process of its own: its cost is then not the generator's.
 */
public class LabServer extends ConfigTestElement implements NoConfigMerge, TestStateListener, ThreadListener {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(LabServer.class);

    // Property names appear in plan files: never change them.
    /** Address to listen on (default 127.0.0.1); others than loopback are refused. */
    public static final String ADDRESS = "address";
    /** Port of the signaling WebSocket server (default 0 = any free one). */
    public static final String PORT = "port";
    /** Port of the STUN server (default 0 = any free one). */
    public static final String STUN_PORT = "stunPort";
    /** A WebSocket that is silent for so long is cut, ms (default 0 = never). */
    public static final String IDLE_CUT = "idleCut";
    /** Faults of the signaling server, a JSON object such as {@code {"upgradesPerSecond":10,"retryAfterS":1}} (default none). */
    public static final String FAULTS = "faults";
    /** Counterpart of a softphone's server that is started too, by its profile, such as {@code genesys} (default empty = none). */
    public static final String KIND = "kind";
    /** Settings of that counterpart, and its faults, a JSON object (default empty = its defaults). */
    public static final String SETTINGS = "settings";
    /** What the names of variables and properties start with (default {@code webrtc_lab}). */
    public static final String VARIABLE_PREFIX = "variablePrefix";

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String DEFAULT_PREFIX = "webrtc_lab";
    private static final long START_MS = 10_000;
    private static final int MAX_PORT = 65_535;
    private static final long MAX_IDLE_CUT_MS = 3_600_000;

    /** What running labs published, by prefix; elements of threads are clones of the one that started the lab. */
    private static final Map<String, Map<String, String>> PUBLISHED = new ConcurrentHashMap<>();

    @Override
    public void testStarted() {
        TestRun.started();
        String prefix = getVariablePrefix();
        try {
            Lab lab = TestRun.current().startLab(prefix, configuration(), START_MS);
            Map<String, String> values = values(prefix, lab.signalingUrl(), lab.stunUrl(), lab.urls().path("softphones"));
            values.forEach(JMeterUtils::setProperty);
            PUBLISHED.put(prefix, values);
            LOG.info("{}: {}", getName(), values);
        } catch (InvalidElementException | IllegalArgumentException | EngineException | TimeoutException
                | EngineUnavailableException | LinkageError e) {
            // Thrown from here it would abort the run without a sample that says why.
            LOG.error("{} could not start: {}", getName(), e.getMessage(), e);
        }
    }

    @Override
    public void testStarted(String host) {
        testStarted();
    }

    @Override
    public void testEnded() {
        Map<String, String> values = PUBLISHED.remove(getVariablePrefix());
        if (values != null) {
            values.keySet().forEach(name -> JMeterUtils.getJMeterProperties().remove(name));
        }
        TestRun.ended();
    }

    @Override
    public void testEnded(String host) {
        testEnded();
    }

    @Override
    public void threadStarted() {
        JMeterVariables variables = getThreadContext().getVariables();
        Map<String, String> values = PUBLISHED.get(getVariablePrefix());
        if (variables != null && values != null) {
            values.forEach(variables::put);
        }
    }

    @Override
    public void threadFinished() {
        // The lab serves all threads until the test ends.
    }

    private String configuration() throws InvalidElementException {
        ObjectNode config = JSON.createObjectNode();
        String address = getAddress();
        if (!address.isEmpty()) {
            config.put("address", address);
        }
        config.put("port", Setting.number(PORT, getPort(), 0, MAX_PORT, 0));
        config.put("stunPort", Setting.number(STUN_PORT, getStunPort(), 0, MAX_PORT, 0));
        config.put("idleCutMs", Setting.number(IDLE_CUT, getIdleCut(), 0, MAX_IDLE_CUT_MS, 0));
        String faults = getFaults();
        if (!faults.isEmpty()) {
            config.set(FAULTS, object(FAULTS, faults));
        }
        String kind = getKind();
        String settings = getSettings();
        if (!kind.isEmpty()) {
            config.set(kind, settings.isEmpty() ? JSON.createObjectNode() : object(SETTINGS, settings));
        } else if (!settings.isEmpty()) {
            throw new InvalidElementException("settings: there are some, and kind is empty; they belong to a counterpart such as genesys");
        }
        return config.toString();
    }

    /** A field that holds a JSON object; pure. */
    static JsonNode object(String field, String text) throws InvalidElementException {
        JsonNode object;
        try {
            object = JSON.readTree(text);
        } catch (JsonProcessingException e) {
            // It may hold credentials of a relay: only the place of the mistake is told.
            throw new InvalidElementException(field + ": not JSON at line " + e.getLocation().getLineNr() + ", column "
                    + e.getLocation().getColumnNr());
        }
        if (!object.isObject()) {
            throw new InvalidElementException(field + ": expected a JSON object, found "
                    + object.getNodeType().name().toLowerCase(Locale.ROOT));
        }
        return object;
    }

    /** What a lab publishes; pure. */
    static Map<String, String> values(String prefix, String signalingUrl, String stunUrl, JsonNode softphones) {
        URI uri = URI.create(signalingUrl);
        Map<String, String> values = new LinkedHashMap<>();
        values.put(prefix + "Url", signalingUrl);
        values.put(prefix + "Host", uri.getHost());
        values.put(prefix + "Port", Integer.toString(uri.getPort()));
        values.put(prefix + "Stun", stunUrl);
        softphones.fields().forEachRemaining(profile -> profile.getValue().fields().forEachRemaining(parameter -> values.put(
                prefix + capital(profile.getKey()) + capital(parameter.getKey()), parameter.getValue().asText())));
        return values;
    }

    private static String capital(String word) {
        return word.substring(0, 1).toUpperCase(Locale.ROOT) + word.substring(1);
    }

    /** @return {@link #ADDRESS}, trimmed */
    public String getAddress() {
        return getPropertyAsString(ADDRESS).trim();
    }

    /** @param address {@link #ADDRESS} */
    public void setAddress(String address) {
        setProperty(ADDRESS, address);
    }

    /** @return {@link #PORT} */
    public String getPort() {
        return getPropertyAsString(PORT);
    }

    /** @param port {@link #PORT} */
    public void setPort(String port) {
        setProperty(PORT, port);
    }

    /** @return {@link #STUN_PORT} */
    public String getStunPort() {
        return getPropertyAsString(STUN_PORT);
    }

    /** @param port {@link #STUN_PORT} */
    public void setStunPort(String port) {
        setProperty(STUN_PORT, port);
    }

    /** @return {@link #IDLE_CUT} */
    public String getIdleCut() {
        return getPropertyAsString(IDLE_CUT);
    }

    /** @param millis {@link #IDLE_CUT} */
    public void setIdleCut(String millis) {
        setProperty(IDLE_CUT, millis);
    }

    /** @return {@link #FAULTS}, trimmed */
    public String getFaults() {
        return getPropertyAsString(FAULTS).trim();
    }

    /** @param json {@link #FAULTS} */
    public void setFaults(String json) {
        setProperty(FAULTS, json);
    }

    /** @return {@link #KIND}, trimmed */
    public String getKind() {
        return getPropertyAsString(KIND).trim();
    }

    /** @param kind {@link #KIND} */
    public void setKind(String kind) {
        setProperty(KIND, kind);
    }

    /** @return {@link #SETTINGS}, trimmed */
    public String getSettings() {
        return getPropertyAsString(SETTINGS).trim();
    }

    /** @param json {@link #SETTINGS} */
    public void setSettings(String json) {
        setProperty(SETTINGS, json);
    }

    /** @return {@link #VARIABLE_PREFIX}; its default when empty */
    public String getVariablePrefix() {
        String prefix = getPropertyAsString(VARIABLE_PREFIX).trim();
        return prefix.isEmpty() ? DEFAULT_PREFIX : prefix;
    }

    /** @param prefix {@link #VARIABLE_PREFIX} */
    public void setVariablePrefix(String prefix) {
        setProperty(VARIABLE_PREFIX, prefix);
    }
}
