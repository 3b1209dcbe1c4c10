package io.github.jmeterwebrtc.jmeter.softphone;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.awt.Component;
import java.awt.Container;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.swing.JComboBox;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the plugin says of the profiles, and the files that are shipped. */
@Timeout(60)
class ShippedProfilesTest {
    private static final Path PROFILES = Paths.get("../profiles");
    private static final String SCHEMA = "profile.schema.json";

    @Test
    void thePanelOffersEachOfThem() throws Exception {
        JMeterHome.use();
        JComboBox<?> choice = (JComboBox<?>) named(RegisterSampler.PROFILE, new RegisterSamplerGui());
        assertNotNull(choice, "the panel has no such field");
        List<String> offered = new ArrayList<>();
        for (int i = 0; i < choice.getItemCount(); i++) {
            offered.add(choice.getItemAt(i).toString());
        }
        // Which of them comes first is the panel's own choice.
        offered.sort(null);
        List<String> shipped = files(1).stream().map(Path::toString).filter(name -> !name.equals(SCHEMA))
                .map(name -> name.substring(0, name.length() - ".json".length())).sorted().collect(Collectors.toList());
        assertEquals(shipped, offered);
    }

    @Test
    void theJarHoldsEachOfThemAndTheirSchema() throws Exception {
        List<Path> files = files(Integer.MAX_VALUE);
        assertTrue(files.contains(Paths.get(SCHEMA)), files.toString());
        for (Path file : files) {
            String resource = "/META-INF/profiles/" + file.toString().replace('\\', '/');
            try (InputStream in = getClass().getResourceAsStream(resource)) {
                assertNotNull(in, resource);
                assertArrayEquals(Files.readAllBytes(PROFILES.resolve(file)), bytes(in), resource);
            }
        }
    }

    /** All of the folder that deep. */
    private static List<Path> files(int depth) throws IOException {
        try (Stream<Path> found = Files.walk(PROFILES, depth)) {
            return found.filter(path -> path.toString().endsWith(".json")).map(PROFILES::relativize)
                    .collect(Collectors.toList());
        }
    }

    private static Component named(String name, Container container) {
        for (Component component : container.getComponents()) {
            Component found = name.equals(component.getName()) ? component
                    : component instanceof Container ? named(name, (Container) component) : null;
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    private static byte[] bytes(InputStream in) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] some = new byte[8192];
        for (int count = in.read(some); count >= 0; count = in.read(some)) {
            all.write(some, 0, count);
        }
        return all.toByteArray();
    }
}
