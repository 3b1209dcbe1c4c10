package io.github.jmeterwebrtc.jmeter.softphone;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.jmeter.gui.GuiPackage;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What has to be said once in a test about the servers of its softphones: the vendor's rule for load tests, each cause of
 * losing a registration, and users that are logged in twice. One for each test. Thread safe.
 */
public final class VendorNotice implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(VendorNotice.class);

    private final Set<String> said = ConcurrentHashMap.newKeySet();

    /** The one of the test in progress. */
    static VendorNotice ofTest() {
        return TestRun.current().part(VendorNotice.class, VendorNotice::new);
    }

    /**
     * Looks at what became of a registration, whether it succeeded or not, or at a softphone's report.
     *
     * @param softphone the engine's JSON; {@code notice}, {@code lastLoss} and {@code identity.sameUserHere} count
     */
    void heard(JsonNode softphone) {
        String notice = softphone.path("notice").asText("");
        if (softphone.path("notice").isTextual() && !notice.isEmpty() && said.add(notice)) {
            LOG.warn("{}", notice);
            if (GuiPackage.getInstance() == null) {
                // As JMeter's own summary: people who run a plan look there.
                System.out.println("WebRTC softphones: " + notice);
            }
        }
        JsonNode loss = softphone.path("lastLoss");
        String cause = loss.path("cause").asText("");
        if (!cause.isEmpty() && said.add("loss " + cause)) {
            LOG.warn("A softphone lost its registration ({}): {}. It comes back as its profile says; each cause is said once", cause,
                    loss.path("why").asText());
        }
        long others = softphone.path("identity").path("sameUserHere").asLong();
        if (others > 0 && said.add("identity")) {
            LOG.warn("A user is logged in {} more times in this JMeter: softphones of one user push each other out. Give each thread"
                    + " a user of its own, for example from a CSV file. This is said once", others);
        }
    }

    @Override
    public void close() {
        said.clear();
    }
}
