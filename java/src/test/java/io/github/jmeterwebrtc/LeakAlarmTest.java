package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class LeakAlarmTest {
    @Test
    void aScopeThatWasForgottenIsClosedOnceItIsCollected() throws InterruptedException {
        long handle = forgottenScope();
        while (!Native.isScopeClosed(handle)) {
            System.gc();
            Thread.sleep(20);
        }
        assertTrue(Native.isScopeClosed(handle));
    }

    private static long forgottenScope() {
        return Engine.get().openScope(null).handle();
    }
}
