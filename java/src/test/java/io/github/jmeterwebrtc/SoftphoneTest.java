package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class SoftphoneTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Engine engine = Engine.get();
    private Lab lab;
    private Scope scope;

    @BeforeEach
    void openScope() throws Exception {
        engine.beginTest();
        lab = engine.startLab("{\"genesys\":{\"callEveryMs\":50}}", 10_000);
        scope = engine.openScope(null);
    }

    @AfterEach
    void closeScope() {
        scope.close();
        JsonNode left = engine.snapshot();
        assertEquals(0, left.path("softphones").path("open").asInt(), left.toString());
        assertEquals(0, left.path("registrations").path("open").asInt(), left.toString());
        lab.close();
    }

    private String config(String profile, String parameter, String value) {
        ObjectNode config = JSON.createObjectNode().put("profile", profile);
        ObjectNode params = lab.urls().path("softphones").path(profile).deepCopy();
        config.set("params", params.put(parameter, value));
        return config.toString();
    }

    @Test
    void anAgentRegistersTakesACallAndIsForgottenAfterItUnregistered() throws Exception {
        assertTrue(lab.urls().path("genesysUrl").asText().startsWith("http://127.0.0.1:"), lab.urls().toString());
        Registered registered = scope.registerSoftphone(null, "", config("genesys", "token", "anna"), 20_000);
        assertTrue(registered.success(), registered.json().toString());
        assertEquals("200", registered.code());
        Softphone softphone = registered.softphone();
        assertTrue(softphone.isRegistered());
        assertEquals("", softphone.name());
        assertNotNull(engine.openScope(scope).findSoftphone(""), "a thread finds the one of its test");
        CallOutcome call = softphone.answer(null, "call", "{}", 30_000);
        assertTrue(call.success(), call.json().toString());
        assertTrue(call.elapsedUs() >= call.latencyUs() && call.latencyUs() >= call.connectUs());
        assertNotNull(scope.session("call"));
        Session session = call.session();
        assertEquals("mute", session.control(null, "{\"command\":\"mute\"}", 5_000).path("command").asText());
        assertEquals(1, softphone.report().path("calls").asInt(), softphone.report().toString());
        assertEquals("us", session.hangUp(null, 5_000).path("endedBy").asText());
        JsonNode report = softphone.unregister(null, 5_000);
        assertTrue(report.path("unregisterUs").isNumber(), report.toString());
        assertFalse(softphone.isRegistered());
        assertNull(scope.findSoftphone(""));
        assertThrows(IllegalStateException.class, softphone::report);
        softphone.close();
    }

    @Test
    void softphonesOfOneScopeCallEachOtherByName() throws Exception {
        Softphone anna = scope.registerSoftphone(null, "anna", config("json", "user", "anna"), 20_000).softphone();
        Softphone bert = scope.registerSoftphone(null, "bert", config("json", "user", "bert"), 20_000).softphone();
        ExecutorService other = Executors.newSingleThreadExecutor();
        try {
            Future<CallOutcome> answered = other.submit(() -> bert.answer(null, "in", "{}", 30_000));
            CallOutcome placed = anna.call(null, "out", "{\"to\":\"bert\"}", 30_000);
            assertTrue(placed.success(), placed.json().toString());
            assertTrue(answered.get().success(), answered.get().json().toString());
            EngineException unknown = assertThrows(EngineException.class,
                    () -> placed.session().control(null, "{\"command\":\"hold\"}", 5_000));
            assertEquals("UNSUPPORTED", unknown.code());
            assertTrue(unknown.getMessage().contains("hold") && unknown.getMessage().contains("json"),
                    unknown.getMessage());
            placed.session().hangUp(null, 5_000);
            assertEquals("peer", answered.get().session().hangUp(null, 5_000).path("endedBy").asText());
        } finally {
            other.shutdownNow();
        }
    }

    @Test
    void aNameInUseIsAnOutcomeThatNamesTheSameUser() throws Exception {
        assertTrue(scope.registerSoftphone(null, "a", config("json", "user", "anna"), 20_000).success());
        Registered second = scope.registerSoftphone(null, "b", config("json", "user", "anna"), 20_000);
        assertFalse(second.success());
        assertNull(second.softphone());
        assertEquals("DUPLICATE_IDENTITY", second.code());
        assertEquals(1, second.json().path("identity").path("sameUserHere").asInt(), second.json().toString());
    }

    @Test
    void aWrongConfigurationIsRefusedByFieldAndValue() {
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class,
                () -> scope.registerSoftphone(null, "", "{\"profile\":\"nobody\"}", 20_000));
        assertTrue(refused.getMessage().contains("profile") && refused.getMessage().contains("nobody"),
                refused.getMessage());
    }

    @Test
    void cancellingTheWaitForACallLeavesTheSoftphoneRegistered() throws Exception {
        Softphone softphone = scope.registerSoftphone(null, "", config("json", "user", "anna"), 20_000).softphone();
        try (Operation operation = engine.operation()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(200);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                operation.cancel();
            });
            canceller.start();
            assertThrows(CancellationException.class, () -> softphone.answer(operation, "call", "{}", 60_000));
            canceller.join();
        }
        assertTrue(softphone.isRegistered());
        assertNull(scope.session("call"));
    }
}
