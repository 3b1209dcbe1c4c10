package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class HandlesTest {
    private final Engine engine = Engine.get();

    @Test
    void aClosedScopeIsAnIllegalState() {
        Scope scope = engine.openScope(null);
        scope.close();
        assertTrue(scope.isClosed());
        IllegalStateException refused = assertThrows(IllegalStateException.class, () -> scope.socket("a"));
        assertTrue(refused.getMessage().startsWith("the scope is closed"), refused.getMessage());
        assertThrows(IllegalStateException.class, () -> engine.openScope(scope));
    }

    @Test
    void closingTwiceFindsNothingLeft() {
        Scope scope = engine.openScope(null);
        assertEquals(1, scope.close(1_000).path("scopes").asInt());
        assertEquals(0, scope.close(1_000).path("scopes").asInt());
    }

    @Test
    void closingAScopeClosesTheScopesUnderIt() {
        Scope test = engine.openScope(null);
        Scope thread = engine.openScope(test);
        assertEquals(2, test.close(1_000).path("scopes").asInt());
        assertTrue(thread.isClosed());
    }

    @Test
    void aSlotThatIsUsedAgainDoesNotBringAnOldHandleBack() {
        Scope old = engine.openScope(null);
        old.close();
        try (Scope fresh = engine.openScope(null)) {
            assertTrue(old.isClosed());
            assertFalse(fresh.isClosed());
        }
    }

    @Test
    void forgedHandlesAreRefusedAndTheJvmLives() {
        Random random = new Random(1);
        for (int i = 0; i < 10_000; i++) {
            long forged = i == 0 ? 0 : i == 1 ? -1 : random.nextLong();
            assertThrows(IllegalStateException.class, () -> Native.socketCounters(forged));
            assertThrows(IllegalStateException.class, () -> Native.receiveFrame(forged, 0, FrameMemory.ofThread().address(), 10));
            assertThrows(IllegalStateException.class, () -> Native.sessionReport(forged));
            assertThrows(IllegalStateException.class, () -> Native.labCounters(forged));
            assertThrows(IllegalStateException.class, () -> Native.findSocket(forged, new byte[0]));
            assertFalse(Native.isSocketOpen(forged));
            assertTrue(Native.isScopeClosed(forged));
            Native.cancelOperation(forged);
            Native.endOperation(forged);
            Native.closeSocket(forged);
            Native.closeSession(forged);
            assertNull(Native.stopLab(forged, 10));
        }
    }

    @Test
    void anOperationThatHasEndedIsRefusedByBlockingCallsAndCanStillBeCancelled() {
        Operation operation = engine.operation();
        operation.close();
        operation.close();
        operation.cancel();
        assertFalse(operation.isCancelled());
        try (Scope scope = engine.openScope(null)) {
            IllegalStateException refused = assertThrows(IllegalStateException.class,
                    () -> scope.openSocket(operation, "a", "{\"url\":\"ws://127.0.0.1:9/\"}", 1_000));
            assertTrue(refused.getMessage().startsWith("the operation is closed"), refused.getMessage());
        }
    }

    @Test
    void badArgumentsAreRefusedByName() {
        try (Scope scope = engine.openScope(null)) {
            assertNames("url", () -> scope.openSocket(null, "a", "{\"url\":\"gopher://x/\"}", 1_000));
            assertNames("pingIntervalMs",
                    () -> scope.openSocket(null, "a", "{\"url\":\"ws://127.0.0.1:9/\",\"pingIntervalMs\":-1}", 1_000));
            assertNames("deadlineMs", () -> scope.openSocket(null, "a", "{\"url\":\"ws://127.0.0.1:9/\"}", -1));
            assertNames("name", () -> scope.openSocket(null, null, "{}", 1_000));
            assertNames("name", () -> scope.openSocket(null, new String(new char[300]), "{}", 1_000));
            assertNames("configuration", () -> scope.openSocket(null, "a", null, 1_000));
            assertNames("iceServers", () -> scope.newSession(null, "s", "{\"iceServers\":7}"));
            assertNames("codecs", () -> scope.newSession(null, "s", "{\"codecs\":[\"gsm\"]}"));
            assertNames("address", () -> engine.startLab("{\"address\":\"nowhere\"}", 1_000));
        }
    }

    private static void assertNames(String field, org.junit.jupiter.api.function.Executable call) {
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, call);
        assertTrue(refused.getMessage().contains(field), refused.getMessage());
    }
}
