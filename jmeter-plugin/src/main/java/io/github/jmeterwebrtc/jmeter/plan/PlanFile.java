package io.github.jmeterwebrtc.jmeter.plan;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;

/** A file that a plan names, as far as what it says can be looked at before anything runs. */
public final class PlanFile {
    private static final long MOST_BYTES = 1 << 20;

    private PlanFile() {
    }

    /**
     * What a file says.
     *
     * @param name as it stands in the plan
     * @return empty when there is no such file, it is larger than 1 MB, or only the running plan knows its name
     */
    public static String text(String name) {
        if (name.isEmpty() || name.contains("${")) {
            return "";
        }
        try {
            Path path = Paths.get(name);
            return Files.isRegularFile(path) && Files.size(path) <= MOST_BYTES
                    ? new String(Files.readAllBytes(path), StandardCharsets.UTF_8)
                    : "";
        } catch (IOException | InvalidPathException e) {
            // The element itself says so when it cannot read its file.
            return "";
        }
    }
}
