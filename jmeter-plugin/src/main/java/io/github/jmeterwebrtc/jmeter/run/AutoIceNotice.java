package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceMode;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceScope;
import io.github.jmeterwebrtc.jmeter.plan.OwnSocket;
import io.github.jmeterwebrtc.jmeter.plan.PlanScan;
import io.github.jmeterwebrtc.jmeter.plan.RunningPlan;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import org.apache.jmeter.gui.GuiPackage;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.samplers.Sampler;
import org.apache.jmeter.threads.JMeterContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What Auto ICE says to people: at the start of a test what the plan carries, what load that adds and how to switch it off; at its
 * end what became of it, and which samples had no live session behind them.
 *
 * <p>Says nothing about a plan without session descriptions. Thread safe.
 */
final class AutoIceNotice {
    private static final Logger LOG = LoggerFactory.getLogger(AutoIceNotice.class);
    private static final String HEAD = "WebRTC Auto ICE";
    /** RTP packets a second of one call, both ways together: one for each 20 ms of audio. */
    private static final int PACKETS_PER_SECOND = 100;
    private static final int MOST_NAMES = 10;

    private final PlanScan scan;
    private final AutoIceMode mode;
    private final Map<String, LongAdder> unseen = new ConcurrentHashMap<>();
    /** What the thread's last counted sample came after: every element of a plan tells of every sample. */
    private final ThreadLocal<Object[]> counted = ThreadLocal.withInitial(() -> new Object[2]);

    AutoIceNotice(PlanScan scan, AutoIceMode mode) {
        this.scan = scan;
        this.mode = mode;
        if (mode != AutoIceMode.OFF) {
            for (PlanScan.Place place : scan.places()) {
                if (place.reach() == PlanScan.Reach.NONE || place.reach() == PlanScan.Reach.SCRIPT) {
                    unseen.put(place.sampler(), new LongAdder());
                }
            }
        }
    }

    static AutoIceNotice ofRunningPlan() {
        AutoIceMode property = AutoIceMode.ofProperty();
        PlanScan scan = PlanScan.of(RunningPlan.tree(),
                element -> element instanceof OwnSocket
                        && (property != null || ((OwnSocket) element).hasAutoIceByDefault()),
                element -> element instanceof AutoIceScope && ((AutoIceScope) element).wanted() != AutoIceMode.OFF);
        return new AutoIceNotice(scan, property == null ? AutoIceMode.ON : property);
    }

    void start() {
        say(startText());
    }

    void end(JsonNode snapshot) {
        say(endText(snapshot));
    }

    /** A sample begins. */
    void sampled(Sampler sampler, JMeterContext context) {
        LongAdder count = unseen.isEmpty() ? null : unseen.get(sampler.getName());
        if (count == null) {
            return;
        }
        Object[] last = counted.get();
        SampleResult before = context.getPreviousResult();
        if (last[0] != sampler || last[1] != before) {
            last[0] = sampler;
            last[1] = before;
            count.increment();
        }
    }

    /** A sample went out as it was, for a reason that only its sampler knows. */
    void countWithoutSession(String sampler) {
        unseen.computeIfAbsent(sampler, ignored -> new LongAdder()).increment();
    }

    /** Lines for the start of the test; empty when there is nothing to say. */
    List<String> startText() {
        List<String> lines = new ArrayList<>();
        if (scan.places().isEmpty()) {
            return lines;
        }
        List<String> reached = named(PlanScan.Reach.SOCKET, PlanScan.Reach.ELEMENT);
        if (mode == AutoIceMode.OFF) {
            lines.add(HEAD + " is off (" + AutoIceMode.PROPERTY + "=off): " + samplers(scan.places().size())
                    + " with session descriptions send what the plan says");
            return lines;
        }
        if (!reached.isEmpty() && mode == AutoIceMode.REPORT) {
            lines.add(HEAD + " only reports (" + AutoIceMode.PROPERTY + "=report): " + samplers(reached.size())
                    + " with session descriptions: " + names(reached));
            lines.add("  The log says what would be replaced. Nothing is");
        } else if (!reached.isEmpty()) {
            lines.add(HEAD + " is on: live calls stand behind the session descriptions of " + samplers(reached.size()) + ": "
                    + names(reached));
            lines.add(String.format(Locale.ROOT, "  Load it adds, at most: %,d calls at a time (one for each thread and dialog), %,d UDP"
                    + " sockets, %,d packets/s (50 each way for each call that talks)", scan.threads(), scan.threads(),
                    (long) scan.threads() * PACKETS_PER_SECOND));
            lines.add("  Each call is told by a sample of its own, '" + AutoIceCalls.LABEL + "', and '" + LostCalls.LABEL
                    + "' if it breaks; the plan's own samples stay as they are");
            lines.add("  Switch it off: -J" + AutoIceMode.PROPERTY + "=off; look what it would do: -J" + AutoIceMode.PROPERTY
                    + "=report");
        }
        List<String> none = named(PlanScan.Reach.NONE);
        if (!none.isEmpty()) {
            lines.add(HEAD + " does not reach " + samplers(none.size()) + " with session descriptions: " + names(none)
                    + ". Put a 'WebRTC Auto ICE' into the scope");
        }
        List<String> scripts = named(PlanScan.Reach.SCRIPT);
        if (!scripts.isEmpty()) {
            lines.add(HEAD + " does not change scripts: " + names(scripts)
                    + ". Use ${__webrtcOffer()}, ${__webrtcAnswer()} and ${__webrtcCandidate()} there");
        }
        return lines;
    }

    /** Lines for the end of the test; empty when there is nothing to say. */
    List<String> endText(JsonNode snapshot) {
        List<String> lines = new ArrayList<>();
        JsonNode told = snapshot.path("autoIce");
        if (told.path("calls").asLong() > 0) {
            lines.add(String.format(Locale.ROOT,
                    "%s: %,d calls, %,d connected, %,d failed, %,d lost, %,d replaced by a new call, %,d never hung up | swapped"
                            + " %,d offers, %,d answers, %,d candidates",
                    HEAD, told.path("calls").asLong(), told.path("connected").asLong(), told.path("failed").asLong(),
                    told.path("lost").asLong(), told.path("replaced").asLong(), told.path("leaked").asLong(),
                    told.path("offers").asLong(), told.path("answers").asLong(), told.path("candidates").asLong()));
        }
        for (JsonNode would : told.path("wouldSwap")) {
            lines.add(String.format(Locale.ROOT, "%s would replace %,d times: %s at %s", HEAD, would.path("count").asLong(),
                    would.path("what").asText(), would.path("path").asText()));
        }
        for (JsonNode left : told.path("left")) {
            lines.add(String.format(Locale.ROOT, "%s left as it was %,d times: %s: %s", HEAD, left.path("count").asLong(),
                    left.path("path").asText(), left.path("reason").asText()));
        }
        long samples = 0;
        List<String> names = new ArrayList<>();
        for (Map.Entry<String, LongAdder> entry : unseen.entrySet()) {
            long count = entry.getValue().sum();
            if (count > 0) {
                samples += count;
                names.add("'" + entry.getKey() + "' (" + count + ")");
            }
        }
        if (samples > 0) {
            lines.add(String.format(Locale.ROOT, "%s: %,d samples carried no live session: %s. A 'WebRTC Auto ICE' in scope reaches"
                    + " samplers, ${__webrtcOffer()} and ${__webrtcAnswer()} reach scripts", HEAD, samples, names(names)));
        }
        return lines;
    }

    private List<String> named(PlanScan.Reach... reaches) {
        List<String> names = new ArrayList<>();
        for (PlanScan.Place place : scan.places()) {
            for (PlanScan.Reach reach : reaches) {
                if (place.reach() == reach) {
                    names.add("'" + place.sampler() + "' (" + place.shape() + ")");
                }
            }
        }
        return names;
    }

    private static String names(List<String> names) {
        return names.size() <= MOST_NAMES
                ? String.join(", ", names)
                : String.join(", ", names.subList(0, MOST_NAMES)) + " and " + (names.size() - MOST_NAMES) + " more";
    }

    private static String samplers(int count) {
        return count == 1 ? "1 sampler" : count + " samplers";
    }

    private static void say(List<String> lines) {
        for (String line : lines) {
            LOG.info("{}", line);
            if (GuiPackage.getInstance() == null) {
                // As JMeter's own summary: people who run a plan look there.
                System.out.println(line);
            }
        }
    }
}
