package io.github.jmeterwebrtc.jmeter;

import io.github.jmeterwebrtc.jmeter.config.WebRtcDefaults;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import org.apache.jmeter.protocol.http.sampler.HTTPSamplerProxy;
import org.apache.jmeter.threads.ThreadGroup;
import org.apache.jmeter.timers.ConstantTimer;
import org.apache.jmeter.util.JMeterUtils;

/** A JMeter home with the properties that {@code ApacheJMeter_config} ships, made once per JVM under {@code target}. */
public final class JMeterHome {
    private static final String[] FILES = {
        "jmeter.properties", "user.properties", "system.properties", "saveservice.properties", "upgrade.properties",
    };
    private static boolean ready;

    private JMeterHome() {
    }

    private static String codeOf(Class<?> type) {
        return new File(type.getProtectionDomain().getCodeSource().getLocation().getPath()).getPath();
    }

    /** Makes the home and loads its properties; our classes and JMeter's own elements are on
     * {@code search_paths}. */
    public static synchronized void use() {
        if (ready) {
            return;
        }
        try {
            Path home = Paths.get("target", "jmeter-home").toAbsolutePath();
            Files.createDirectories(home.resolve("lib/ext"));
            Files.createDirectories(home.resolve("bin"));
            for (String file : FILES) {
                try (InputStream in = JMeterHome.class.getResourceAsStream("/bin/" + file)) {
                    Files.copy(in, home.resolve("bin").resolve(file), StandardCopyOption.REPLACE_EXISTING);
                }
            }
            JMeterUtils.setJMeterHome(home.toString());
            JMeterUtils.loadJMeterProperties(home.resolve("bin/jmeter.properties").toString());
            JMeterUtils.setProperty("search_paths", String.join(";",
                    codeOf(WebRtcDefaults.class), codeOf(ThreadGroup.class), codeOf(ConstantTimer.class),
                    codeOf(HTTPSamplerProxy.class)));
            JMeterUtils.setLocale(Locale.ENGLISH);
            ready = true;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
