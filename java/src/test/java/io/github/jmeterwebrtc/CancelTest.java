package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class CancelTest {
    private static final long LONG_MS = 60_000;
    private static Lab lab;

    private final Engine engine = Engine.get();
    private Scope scope;
    private Socket socket;

    @BeforeAll
    static void startLab() throws Exception {
        lab = Engine.get().startLab("{}", 10_000);
    }

    @AfterAll
    static void stopLab() {
        lab.close();
    }

    @BeforeEach
    void openSocket() throws Exception {
        scope = engine.openScope(null);
        socket = scope.openSocket(null, "a", "{\"url\":\"" + lab.signalingUrl() + "\"}", 10_000);
    }

    @AfterEach
    void closeScope() {
        scope.close();
    }

    @Test
    void aWaitThatIsCancelledBeforeItBeginsDoesNotBegin() {
        try (Operation operation = engine.operation()) {
            operation.cancel();
            assertTrue(operation.isCancelled());
            assertThrows(CancellationException.class, () -> socket.receive(operation, LONG_MS));
        }
    }

    @Test
    void aWaitThatIsCancelledEndsAtOnceAndTheSocketIsUsableAfterwards() throws Exception {
        try (Operation operation = engine.operation()) {
            Thread canceller = after(100, operation::cancel);
            assertThrows(CancellationException.class, () -> socket.receive(operation, LONG_MS));
            canceller.join();
        }
        assertTrue(socket.isOpen());
        assertThrows(TimeoutException.class, () -> socket.receive(null, 20));
        try (Operation operation = engine.operation()) {
            assertTrue(socket.send(operation, Opcode.TEXT, true, new byte[] {'x'}, 5_000).bytes() > 1);
        }
    }

    @Test
    void aCancelAfterTheCallHasNoEffectOnOthers() throws Exception {
        try (Operation operation = engine.operation()) {
            socket.send(operation, Opcode.PING, true, new byte[0], 5_000);
            operation.cancel();
        }
        try (Operation operation = engine.operation()) {
            socket.send(operation, Opcode.PING, true, new byte[0], 5_000);
        }
    }

    @Test
    void aDeadlineIsATimeoutThatNamesIt() {
        TimeoutException late = assertThrows(TimeoutException.class, () -> socket.receive(null, 30));
        assertEquals("wait for a frame: not done within 30 ms", late.getMessage());
    }

    @Test
    void closingTheScopeWakesWhoIsParkedOnItsSocket() throws Exception {
        // Not before the wait has begun, or it would be refused.
        Thread closer = after(2_000, () -> scope.close());
        EngineException closed = assertThrows(EngineException.class,
                () -> socket.receiveMatching(null, "{\"text\":\"never\"}", LONG_MS));
        assertEquals("CLOSED", closed.code());
        closer.join();
        assertThrows(IllegalStateException.class, () -> socket.receive(null, 10));
    }

    @Test
    void abortingASocketWakesWhoIsParkedOnIt() throws Exception {
        Thread aborter = after(100, () -> socket.abort());
        EngineException closed = assertThrows(EngineException.class, () -> socket.receive(null, LONG_MS));
        assertEquals("CLOSED", closed.code());
        assertTrue(closed.details().path("cause").has("description"), closed.details().toString());
        aborter.join();
        assertTrue(!socket.isOpen() && socket.closeCause() != null);
    }

    @Test
    void twoHundredParkedThreadsAllWakeWhenTheyAreCancelled() throws Exception {
        int threads = 200;
        CountDownLatch parked = new CountDownLatch(threads);
        CountDownLatch woken = new CountDownLatch(threads);
        AtomicInteger cancelled = new AtomicInteger();
        AtomicReference<Throwable> other = new AtomicReference<>();
        List<Operation> operations = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            Operation operation = engine.operation();
            operations.add(operation);
            Thread thread = new Thread(null, () -> {
                parked.countDown();
                try {
                    socket.receive(operation, LONG_MS);
                } catch (CancellationException e) {
                    cancelled.incrementAndGet();
                } catch (Exception e) {
                    other.set(e);
                }
                woken.countDown();
            }, "parked " + i, 180 * 1024);
            thread.setDaemon(true);
            thread.start();
        }
        assertTrue(parked.await(20, TimeUnit.SECONDS));
        Thread.sleep(200);
        assertEquals(threads, woken.getCount());
        for (Operation operation : operations) {
            operation.cancel();
        }
        assertTrue(woken.await(20, TimeUnit.SECONDS), woken.getCount() + " are still parked");
        assertEquals(null, other.get());
        assertEquals(threads, cancelled.get());
        for (Operation operation : operations) {
            operation.close();
        }
    }

    private static Thread after(long millis, Runnable action) {
        Thread thread = new Thread(() -> {
            try {
                Thread.sleep(millis);
                action.run();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        thread.start();
        return thread;
    }
}
