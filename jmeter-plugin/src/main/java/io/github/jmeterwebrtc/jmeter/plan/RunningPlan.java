package io.github.jmeterwebrtc.jmeter.plan;

import java.lang.reflect.Field;
import org.apache.jmeter.engine.StandardJMeterEngine;
import org.apache.jorphan.collections.HashTree;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The plan that this JMeter is starting or running, which JMeter itself gives to nobody. */
public final class RunningPlan {
    private static final Logger LOG = LoggerFactory.getLogger(RunningPlan.class);

    private RunningPlan() {
    }

    /**
     * Its tree, with the elements of included files and without those that are disabled.
     *
     * @return null on the controller of a remote test, outside of a test, and in a JMeter whose engine is built otherwise, which
     *     is logged
     */
    public static HashTree tree() {
        try {
            Field engine = StandardJMeterEngine.class.getDeclaredField("engine");
            Field plan = StandardJMeterEngine.class.getDeclaredField("test");
            engine.setAccessible(true);
            plan.setAccessible(true);
            Object running = engine.get(null);
            return running == null ? null : (HashTree) plan.get(running);
        } catch (ReflectiveOperationException | RuntimeException e) {
            // Another JMeter than 5.6.
            LOG.warn("The running plan cannot be looked at ({}): results files that are appended to are not protected, and"
                    + " nothing is said about session descriptions in the plan", e.toString());
            return null;
        }
    }
}
