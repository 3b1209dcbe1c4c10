package io.github.jmeterwebrtc.jmeter.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.Operation;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ThreadScopeTest {
    private final JMeterContext context = JMeterContextService.getContext();
    private final ThreadScope thread = TestRun.current().thread();

    @AfterEach
    void endTest() {
        TestRun.ended();
    }

    @Test
    void theNextWaitHasTheOperationOfTheLastThatNobodyCancelled() {
        Operation first = operationOfOneWait();
        assertSame(first, operationOfOneWait());
    }

    @Test
    void aCancelledWaitTakesItsOperationAlong() {
        Operation cancelled;
        try (BoundedWait wait = thread.beginWait(context)) {
            cancelled = wait.operation();
            wait.cancel();
            assertEquals("interrupted", wait.endedBy());
        }
        try (BoundedWait next = thread.beginWait(context)) {
            assertNotSame(cancelled, next.operation());
            assertFalse(next.operation().isCancelled());
        }
    }

    @Test
    void aCancelThatComesTooLateDoesNotReachTheNextWait() {
        BoundedWait over = thread.beginWait(context);
        over.close();
        try (BoundedWait next = thread.beginWait(context)) {
            over.cancel();
            over.close();
            assertFalse(next.operation().isCancelled());
            assertNull(next.endedBy());
        }
    }

    @Test
    void aWaitWithinAnotherHasAnOperationOfItsOwn() {
        try (BoundedWait outer = thread.beginWait(context)) {
            try (BoundedWait inner = thread.beginWait(context)) {
                inner.cancel();
                assertTrue(inner.operation().isCancelled());
            }
            assertFalse(outer.operation().isCancelled());
        }
    }

    private Operation operationOfOneWait() {
        try (BoundedWait wait = thread.beginWait(context)) {
            return wait.operation();
        }
    }
}
