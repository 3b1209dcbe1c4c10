package io.github.jmeterwebrtc.jmeter.preflight;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.jmeter.call.WebRtcSampler;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * WebRTC Preflight: will this machine hold so many softphones, and do the servers they need answer?
 *
 * <p>Examines once per JMeter and test, in whatever thread comes first; all others get no sample. In distributed mode each
 * worker examines itself. STUN and TURN servers and the source address are those of the WebRTC Defaults in scope.
 */
public class PreflightSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /** How many softphones this JMeter is to hold (default 200). */
    public static final String SOFTPHONES = "softphones";
    /** Over how many seconds they start (default one per 25 softphones, at least 1). */
    public static final String RAMP = "ramp";
    /** {@code ws} or {@code wss} URL of the signaling server (default empty = not asked). */
    public static final String SIGNALING_URL = "signalingUrl";
    /** Deadline of each step, ms (default 5000). */
    public static final String TIMEOUT = "timeout";
    /** {@code false} = accept every TLS certificate (boolProp, default true). */
    public static final String VERIFY_CERTIFICATE = "verifyCertificate";

    private static final Logger LOG = LoggerFactory.getLogger(PreflightSampler.class);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long DEFAULT_SOFTPHONES = 200;
    private static final long MOST_SOFTPHONES = 1_000_000;
    private static final long DEFAULT_TIMEOUT_MS = 5_000;
    private static final long LEAST_TIMEOUT_MS = 100;
    private static final long MOST_TIMEOUT_MS = 60_000;
    /** The longest chain of steps: name, login, answer, giving back, hairpin. */
    private static final long STEPS = 8;

    @Override
    protected boolean takesPart() {
        return TestRun.current().part(Examined.class, Examined::new).isFirst();
    }

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        long timeoutMs = Setting.number(TIMEOUT, getTimeout(), LEAST_TIMEOUT_MS, MOST_TIMEOUT_MS, DEFAULT_TIMEOUT_MS);
        ObjectNode config = configuration(timeoutMs);
        result.request("WebRTC preflight for " + config.path("softphones").asLong() + " softphones");
        JsonNode report = thread.run().engine()
                .preflight(bounded.operation(), config.toString(), bounded.clip(STEPS * timeoutMs));
        String table = report.path("table").asText();
        LOG.info("{}: {}", getName(), table);
        if (report.path("ok").asBoolean()) {
            result.success("200", "OK");
            result.json(withoutTable(report));
            return;
        }
        String failure = report.path("firstFailure").asText();
        result.failure(Codes.CHECK_FAILED, new FailureReport("Preflight failed", Codes.CHECK_FAILED, failure, verdict(report), withoutTable(report)));
    }

    /** The failed checks as evidence, and what to do about the first; pure. */
    static ObjectNode verdict(JsonNode report) {
        ObjectNode verdict = JSON.createObjectNode();
        for (JsonNode check : report.path("checks")) {
            if ("fail".equals(check.path("status").asText())) {
                verdict.withArray("evidence").addObject()
                        .put("fact", check.path("name").asText() + ": " + check.path("finding").asText());
                if (!verdict.has("advice") && check.path("advice").isTextual()) {
                    verdict.put("advice", check.path("advice").asText());
                }
            }
        }
        return verdict;
    }

    private ObjectNode configuration(long timeoutMs) throws InvalidElementException {
        ObjectNode config = JSON.createObjectNode();
        config.put("softphones", Setting.number(SOFTPHONES, getSoftphones(), 1, MOST_SOFTPHONES, DEFAULT_SOFTPHONES));
        Double ramp = Setting.decimal(RAMP, getRamp());
        if (ramp != null) {
            config.put("rampSeconds", ramp);
        }
        config.put("timeoutMs", timeoutMs);
        config.put("verifyCertificate", getVerifyCertificate());
        String signaling = getSignalingUrl();
        if (!signaling.isEmpty()) {
            config.put("signaling", signaling);
        }
        JsonNode session = CallSettings.of(this).config().path("session");
        for (String shared : new String[] {"iceServers", "sourceAddress"}) {
            if (session.has(shared)) {
                config.set(shared, session.path(shared));
            }
        }
        return config;
    }

    private static JsonNode withoutTable(JsonNode report) {
        ObjectNode shown = report.deepCopy();
        shown.remove("table");
        return shown;
    }

    /** Whether this JMeter was examined in this test. */
    private static final class Examined implements AutoCloseable {
        private final AtomicBoolean claimed = new AtomicBoolean();

        boolean isFirst() {
            return claimed.compareAndSet(false, true);
        }

        @Override
        public void close() {
            // Nothing is held: the next test has one of its own.
        }
    }

    /** @return {@link #SOFTPHONES} */
    public String getSoftphones() {
        return getPropertyAsString(SOFTPHONES);
    }

    /** @param softphones {@link #SOFTPHONES} */
    public void setSoftphones(String softphones) {
        setProperty(SOFTPHONES, softphones);
    }

    /** @return {@link #RAMP} */
    public String getRamp() {
        return getPropertyAsString(RAMP);
    }

    /** @param seconds {@link #RAMP} */
    public void setRamp(String seconds) {
        setProperty(RAMP, seconds);
    }

    /** @return {@link #SIGNALING_URL}, trimmed */
    public String getSignalingUrl() {
        return getPropertyAsString(SIGNALING_URL).trim();
    }

    /** @param url {@link #SIGNALING_URL} */
    public void setSignalingUrl(String url) {
        setProperty(SIGNALING_URL, url);
    }

    /** @return {@link #TIMEOUT} */
    public String getTimeout() {
        return getPropertyAsString(TIMEOUT);
    }

    /** @param millis {@link #TIMEOUT} */
    public void setTimeout(String millis) {
        setProperty(TIMEOUT, millis);
    }

    /** @return {@link #VERIFY_CERTIFICATE} */
    public boolean getVerifyCertificate() {
        return getPropertyAsBoolean(VERIFY_CERTIFICATE, true);
    }

    /** @param verify {@link #VERIFY_CERTIFICATE} */
    public void setVerifyCertificate(boolean verify) {
        setProperty(VERIFY_CERTIFICATE, verify);
    }
}
