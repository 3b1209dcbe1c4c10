package io.github.jmeterwebrtc.jmeter;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import org.apache.jmeter.util.JMeterUtils;

/** A JMeter home with the properties that {@code ApacheJMeter_config} ships, made once per JVM under {@code target}. */
public final class JMeterHome {
    private static final String[] FILES = {
        "jmeter.properties", "user.properties", "system.properties", "saveservice.properties", "upgrade.properties",
    };
    private static boolean ready;

    private JMeterHome() {
    }

    /** Makes the home and loads its properties; our classes are on {@code search_paths}. */
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
            JMeterUtils.setProperty("search_paths", Paths.get("target", "classes").toAbsolutePath().toString());
            JMeterUtils.setLocale(Locale.ENGLISH);
            ready = true;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
