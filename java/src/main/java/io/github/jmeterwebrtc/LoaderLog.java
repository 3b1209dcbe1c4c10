package io.github.jmeterwebrtc;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the loader of the native library has to say besides its failures: to SLF4J, or to nobody where there is none, as in
 * {@link Doctor} run from the jar alone.
 */
final class LoaderLog {
    private static final boolean HAS_SLF4J = hasSlf4j();

    private LoaderLog() {
    }

    static void debug(String text, Throwable cause) {
        if (HAS_SLF4J) {
            Slf4j.LOG.debug(text, cause);
        }
    }

    private static boolean hasSlf4j() {
        try {
            Class.forName("org.slf4j.LoggerFactory", false, LoaderLog.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    /** Loaded only where SLF4J is there. */
    private static final class Slf4j {
        private static final Logger LOG = LoggerFactory.getLogger(NativeLibrary.class);
    }
}
