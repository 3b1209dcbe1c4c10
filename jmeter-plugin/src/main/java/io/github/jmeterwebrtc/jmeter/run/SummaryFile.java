package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.Engine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import org.apache.jmeter.util.JMeterUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine's counters at the end of a test as a JSON file (JMeter property {@code webrtc.summary_file}; default none).
 *
 * <p>Written when all threads have ended and before what they left open is closed: {@code leftOpen} counts that. The file
 * is complete or absent, never half written.
 */
final class SummaryFile {
    private static final Logger LOG = LoggerFactory.getLogger(SummaryFile.class);

    private final Path path;

    private SummaryFile(Path path) {
        this.path = path;
    }

    static SummaryFile ofProperties() {
        String name = JMeterUtils.getPropDefault("webrtc.summary_file", "");
        return new SummaryFile(name.isEmpty() ? null : Paths.get(name).toAbsolutePath());
    }

    void write(Engine engine) {
        if (path == null) {
            return;
        }
        try {
            ObjectMapper json = new ObjectMapper();
            ObjectNode summary = withLeftOpen(json, engine.snapshot());
            Path directory = path.getParent();
            Files.createDirectories(directory);
            Path part = Files.createTempFile(directory, path.getFileName().toString(), ".part");
            json.writerWithDefaultPrettyPrinter().writeValue(part.toFile(), summary);
            Files.move(part, path, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException | RuntimeException e) {
            LOG.error("The summary could not be written to webrtc.summary_file={}", path, e);
        }
    }

    /** The snapshot with {@code leftOpen} beside it; pure. */
    static ObjectNode withLeftOpen(ObjectMapper json, JsonNode snapshot) {
        ObjectNode summary = json.createObjectNode();
        if (snapshot.isObject()) {
            summary.setAll((ObjectNode) snapshot);
        }
        ObjectNode left = summary.putObject("leftOpen");
        for (String kind : new String[] {"softphones", "webSockets", "udpSockets"}) {
            left.put(kind, snapshot.path(kind).path("open").asLong());
        }
        return summary;
    }
}
