package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.jmeter.result.Columns;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.jmeter.gui.action.ActionRouter;
import org.apache.jmeter.gui.action.RemoteStart;
import org.apache.jmeter.gui.action.Start;

/**
 * Starts of tests from JMeter's GUI: each begins without our columns, and gets them when its plan has WebRTC elements.
 *
 * <p>A local test takes its columns away itself when it ends; of a remote one the controller's copy of the plan is never told
 * the end.
 */
final class GuiStarts {
    private static final AtomicBoolean HEEDED = new AtomicBoolean();

    private GuiStarts() {
    }

    /** Heeds all further starts; once per JMeter, and only in a GUI. */
    static void heed() {
        if (HEEDED.compareAndSet(false, true)) {
            ActionRouter router = ActionRouter.getInstance();
            router.addPreActionListener(Start.class, start -> Columns.unregister());
            router.addPreActionListener(RemoteStart.class, start -> Columns.unregister());
        }
    }
}
