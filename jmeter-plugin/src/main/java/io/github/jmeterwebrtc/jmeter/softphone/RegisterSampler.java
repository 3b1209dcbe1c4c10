package io.github.jmeterwebrtc.jmeter.softphone;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Registered;
import io.github.jmeterwebrtc.jmeter.call.WebRtcSampler;
import io.github.jmeterwebrtc.jmeter.config.CallSettings;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import io.github.jmeterwebrtc.jmeter.result.FailureReport;
import io.github.jmeterwebrtc.jmeter.result.RegistrationRecord;
import io.github.jmeterwebrtc.jmeter.result.ResultBuilder;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.run.RegisteredSoftphone;
import io.github.jmeterwebrtc.jmeter.run.Setting;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import io.github.jmeterwebrtc.jmeter.websocket.TrustStore;
import java.io.File;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.apache.jmeter.services.FileServer;
import org.apache.jmeter.util.JMeterUtils;

/**
 * WebRTC Softphone Register: a softphone logs in as the profile of its protocol says, as one sample.
 *
 * <p>Elapsed time = start → registered, Connect Time = start → WebSocket open, Latency = start → first message of the server
 * on it; all taken in the engine. The softphone belongs to its thread and outlives iterations: it answers pings, reconnects when its
 * server is lost, and takes calls in the background until WebRTC Softphone Unregister or the end of the thread. In the next iteration one
 * that is registered as the same is used again, in no time; one that is reconnecting is waited for; where profile or
 * parameters differ, another user logs in.
 */
public class RegisterSampler extends WebRtcSampler {
    private static final long serialVersionUID = 1L;

    // Property names appear in plan files: never change them.
    /** Name of the softphone within its thread (default empty, which is a name too: one softphone per thread). */
    public static final String SOFTPHONE = "softphone";
    /** Name of a profile, or a file: with {@code /}, {@code \} or ending with {@code .json}; relative to the plan. */
    public static final String PROFILE = "profile";
    /** Parameters of the profile, lines {@code name=value} (default none). */
    public static final String PARAMETERS = "parameters";
    /** How long registering may take, ms (default 30000). */
    public static final String TIMEOUT = "timeout";
    /** {@code false} = accept every TLS certificate (boolProp, default true). */
    public static final String VERIFY_CERTIFICATE = "verifyCertificate";

    /** JMeter property: folder with profiles of the user's own, found by name before those that are shipped (default none). */
    static final String PROFILES_DIR = "webrtc.profiles.dir";

    /** The profiles that are shipped, by name; the first is that of a new element. */
    static final List<String> SHIPPED =
            Collections.unmodifiableList(Arrays.asList("genesys", "janus", "json", "sip", "whep", "whip"));

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long TIMEOUT_MS = 30_000;
    private static final long MAX_TIMEOUT_MS = 3_600_000;
    private static final String REGISTERED = "registered";
    private static final String RECONNECTING = "reconnecting";
    /** How often a reconnecting softphone is looked at, ms. */
    private static final long LOOK_MS = 50;

    @Override
    protected void perform(ThreadScope thread, BoundedWait bounded, ResultBuilder result)
            throws InvalidElementException, EngineException, TimeoutException {
        Plan plan = new Plan(this);
        result.request("Register softphone '" + plan.softphone + "' with profile '" + plan.profile + "', parameters "
                + plan.parameters.keySet());
        RegisteredSoftphone known = thread.softphones().get(plan.softphone);
        if (known != null && known.isOf(plan.identity) && goesOn(known, plan, bounded, result)) {
            return;
        }
        // The engine unregisters one of that name first.
        thread.softphones().remove(plan.softphone);
        Registered registered = thread.scope().registerSoftphone(
                bounded.operation(), plan.softphone, plan.config.toString(), bounded.clip(plan.timeoutMs));
        RegistrationRecord.write(registered, result);
        VendorNotice.ofTest().heard(registered.json());
        if (registered.success()) {
            thread.softphones().put(plan.softphone, new RegisteredSoftphone(plan.identity, registered.softphone()));
        }
    }

    /** Whether a softphone that was registered before is of use; then the result is written. */
    private static boolean goesOn(RegisteredSoftphone known, Plan plan, BoundedWait bounded, ResultBuilder result) {
        JsonNode report = known.softphone().report();
        // Its calls may have led to the vendor since.
        VendorNotice.ofTest().heard(report);
        if (REGISTERED.equals(state(report))) {
            result.took(0);
            result.success("200", "existing registration" + lost(known, report));
            result.json(report);
            return true;
        }
        long deadline = System.nanoTime() + bounded.clip(plan.timeoutMs) * 1_000_000;
        while (RECONNECTING.equals(state(report))) {
            if (System.nanoTime() >= deadline) {
                String why = "The softphone is reconnecting: " + report.path("why").asText();
                result.failure(Codes.SIGNALING_TIMEOUT,
                        new FailureReport("Not registered again", Codes.SIGNALING_TIMEOUT, why, report, report));
                return true;
            }
            rest(bounded);
            report = known.softphone().report();
        }
        if (!REGISTERED.equals(state(report))) {
            return false;
        }
        // Its time is that of this wait, which nothing at the wire has taken.
        result.success("200", "registered again" + lost(known, report));
        result.json(report);
        return true;
    }

    /** How the registration was lost meanwhile: nothing fails for it, and who reads the results is to see it. */
    private static String lost(RegisteredSoftphone known, JsonNode report) {
        String loss = known.lostSince(report);
        return loss.isEmpty() ? "" : "; it was lost before: " + loss;
    }

    private static String state(JsonNode report) {
        return report.path("state").asText();
    }

    private static void rest(BoundedWait bounded) {
        try {
            Thread.sleep(LOOK_MS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            bounded.cancel();
        }
        if (bounded.operation().isCancelled()) {
            throw new CancellationException("the wait for the softphone to be registered again was cancelled");
        }
    }

    /** The properties of one sample, each read once and checked. */
    private static final class Plan {
        private final String softphone;
        private final String profile;
        private final Map<String, String> parameters;
        private final long timeoutMs;
        private final ObjectNode config;
        /** What another registration would differ in; not the start gate. */
        private final String identity;

        Plan(RegisterSampler sampler) throws InvalidElementException {
            softphone = sampler.getSoftphone();
            profile = sampler.getProfile();
            if (profile.isEmpty()) {
                throw new InvalidElementException("profile: it is empty; name one, such as genesys, or a file");
            }
            parameters = ProfileParameters.parse(sampler.getParameters());
            timeoutMs = Setting.number(TIMEOUT, sampler.getTimeout(), 1, MAX_TIMEOUT_MS, TIMEOUT_MS);
            CallSettings settings = CallSettings.of(sampler);
            config = configuration(sampler, settings);
            identity = config.toString();
            if (settings.config().has("gate")) {
                config.set("gate", settings.config().path("gate"));
            }
        }

        private ObjectNode configuration(RegisterSampler sampler, CallSettings settings) throws InvalidElementException {
            ObjectNode json = JSON.createObjectNode();
            json.put("profile", profileOf(profile));
            String folder = JMeterUtils.getPropDefault(PROFILES_DIR, "").trim();
            if (!folder.isEmpty()) {
                json.put("profilesDir", new File(folder).getAbsolutePath());
            }
            ObjectNode values = json.putObject("params");
            parameters.forEach(values::put);
            json.set("session", settings.config().path("session"));
            TrustStore.put(json, sampler.getVerifyCertificate());
            json.put("byeTimeoutMs", settings.byeTimeoutMs());
            return json;
        }
    }

    /** What the engine is told: a name as it is, a file by its whole path. */
    static String profileOf(String profile) {
        boolean isFile = profile.indexOf('/') >= 0 || profile.indexOf('\\') >= 0 || profile.endsWith(".json");
        return isFile ? FileServer.getFileServer().getResolvedFile(profile).getAbsolutePath() : profile;
    }

    /** @return {@link #SOFTPHONE}, trimmed */
    public String getSoftphone() {
        return getPropertyAsString(SOFTPHONE).trim();
    }

    /** @param name {@link #SOFTPHONE} */
    public void setSoftphone(String name) {
        setProperty(SOFTPHONE, name);
    }

    /** @return {@link #PROFILE}, trimmed */
    public String getProfile() {
        return getPropertyAsString(PROFILE).trim();
    }

    /** @param profile {@link #PROFILE} */
    public void setProfile(String profile) {
        setProperty(PROFILE, profile);
    }

    /** @return {@link #PARAMETERS} */
    public String getParameters() {
        return getPropertyAsString(PARAMETERS);
    }

    /** @param lines {@link #PARAMETERS} */
    public void setParameters(String lines) {
        setProperty(PARAMETERS, lines);
    }

    /** @return {@link #TIMEOUT}, trimmed */
    public String getTimeout() {
        return getPropertyAsString(TIMEOUT).trim();
    }

    /** @param timeout {@link #TIMEOUT} */
    public void setTimeout(String timeout) {
        setProperty(TIMEOUT, timeout);
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
