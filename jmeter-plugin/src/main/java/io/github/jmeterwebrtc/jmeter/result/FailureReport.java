package io.github.jmeterwebrtc.jmeter.result;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * What failed, in every form that a result carries it: a message for people, JSON for programs, one line for a column.
 *
 * <p>The message says heading, sentence, cause and advice. It leaves out what differs from call to call (ports, counters,
 * times of single packets), because the dashboard's error table has one line per message; the whole sentence is in the JSON,
 * the facts are in the JSON and in the line. Pure.
 */
public final class FailureReport {
    /** Longest message, characters. */
    static final int MAX_MESSAGE_CHARS = 400;
    /** Longest line of evidence, characters: it stands in every failed row of a JTL. */
    static final int MAX_EVIDENCE_CHARS = 500;

    private static final int MAX_SENTENCE_CHARS = 140;
    private static final double MICROS_PER_MILLI = 1000.0;
    private static final String CUT = "…";
    /** Where a sentence goes over from what happened to the evidence. */
    private static final Pattern CLAUSE_END = Pattern.compile("(?=: |; | \\()");
    private static final Pattern NUMBER = Pattern.compile("[0-9]");
    private static final Pattern LINE_BREAKS = Pattern.compile("[\\p{Cntrl}\\u2028\\u2029]+");

    private final String heading;
    private final String code;
    private final String sentence;
    private final String cause;
    private final String confidence;
    private final String advice;
    private final JsonNode evidence;
    private final JsonNode also;
    private final JsonNode told;
    private final JsonNode details;

    /**
     * Reads what the engine tells.
     *
     * @param heading what failed, in a few words ({@code ICE Connection Failed})
     * @param code the fixed code that JMeter shows as response code
     * @param sentence what failed, where, with the evidence
     * @param told may have {@code cause} (fixed code), {@code confidence}, {@code advice}, {@code evidence}
     *             ({@code [{"atUs","fact"}]}), or all of them in its member {@code verdict}, as the details of an
     *             {@link io.github.jmeterwebrtc.EngineException} have it; each may be absent
     * @param details everything else that is known; may be null
     */
    public FailureReport(String heading, String code, String sentence, JsonNode told, JsonNode details) {
        JsonNode verdict = told.has("verdict") ? told.path("verdict") : told;
        this.heading = heading;
        this.code = code;
        this.sentence = sentence;
        this.cause = verdict.path("cause").isTextual() ? verdict.path("cause").asText() : "";
        this.confidence = verdict.path("confidence").asText("");
        this.advice = verdict.path("advice").asText("");
        this.evidence = verdict.path("evidence");
        this.also = verdict.path("also");
        this.told = told;
        this.details = withoutTold(details);
    }

    /** Details without what stands beside them in the response data. */
    private static JsonNode withoutTold(JsonNode details) {
        if (details == null || !details.isObject()) {
            return details;
        }
        ObjectNode rest = details.deepCopy();
        rest.remove(Arrays.asList("verdict", "resultCode", "starved", "starvedReasons"));
        return rest;
    }

    /**
     * The fixed code of what failed.
     *
     * @return the verdict's cause; without a verdict the code
     */
    public String cause() {
        return cause.isEmpty() ? code : cause;
    }

    /**
     * How sure the cause is.
     *
     * @return {@code certain}, {@code likely}, {@code ambiguous}; empty without a verdict
     */
    public String confidence() {
        return confidence;
    }

    /**
     * The response message.
     *
     * @return at most {@value #MAX_MESSAGE_CHARS} characters, the same for all calls that failed in the same way
     */
    public String message() {
        StringBuilder text = new StringBuilder(heading);
        String happened = headline(sentence);
        if (!happened.isEmpty() && !happened.equalsIgnoreCase(heading)) {
            text.append(": ").append(happened);
        }
        if (!cause.isEmpty() && !cause.equals(code)) {
            text.append(" [").append(cause).append(confidence.isEmpty() ? "" : ", " + confidence).append(']');
        }
        if (!advice.isEmpty()) {
            text.append(". ").append(advice);
        }
        return oneLine(text.toString(), MAX_MESSAGE_CHARS);
    }

    /**
     * The evidence in one line: {@code 12.345 ms what happened; 13.001 ms what happened then}.
     *
     * @return at most {@value #MAX_EVIDENCE_CHARS} characters; the sentence where there are no single facts
     */
    public String evidenceLine() {
        StringBuilder line = new StringBuilder();
        for (JsonNode fact : evidence) {
            line.append(line.length() == 0 ? "" : "; ");
            if (fact.path("atUs").isNumber()) {
                line.append(String.format(Locale.ROOT, "%.3f ms ", fact.path("atUs").asLong() / MICROS_PER_MILLI));
            }
            line.append(fact.isTextual() ? fact.asText() : fact.path("fact").asText());
        }
        return oneLine(line.length() == 0 ? sentence : line.toString(), MAX_EVIDENCE_CHARS);
    }

    /**
     * The response data: {@code {"error":…,"code":…,"cause":…,"confidence":…,"message":…,"advice":…,"evidence":[…],
     * "also":[…],"starved":…,"starvedReasons":[…],"details":{…}}}; what is not known is left out, {@code details} is always there.
     *
     * @param maxChars details that would make it longer are replaced by a note
     * @return a JSON object
     */
    public ObjectNode json(int maxChars) {
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.put("error", heading);
        node.put("code", code);
        putText(node, "cause", cause);
        putText(node, "confidence", confidence);
        putText(node, "message", sentence.equals(heading) ? "" : sentence);
        putText(node, "advice", advice);
        putList(node, "evidence", evidence);
        putList(node, "also", also);
        if (told.path("starved").asBoolean()) {
            node.put("starved", true);
            putList(node, "starvedReasons", told.path("starvedReasons"));
        }
        int without = node.toString().length();
        if (details == null) {
            node.putObject("details");
        } else if (without + details.toString().length() > maxChars) {
            node.putObject("details").put("cut", "longer than " + maxChars + " characters");
        } else {
            node.set("details", details);
        }
        return node;
    }

    /**
     * The same as response headers: a remote worker in JMeter's mode StrippedBatch takes the response data away and leaves
     * these.
     *
     * @return lines {@code name: value}, each ending with a line break
     */
    public String headerLines() {
        StringBuilder lines = new StringBuilder();
        line(lines, "cause", cause());
        line(lines, "confidence", confidence);
        line(lines, "message", oneLine(sentence, MAX_EVIDENCE_CHARS));
        line(lines, "evidence", evidenceLine());
        line(lines, "advice", advice);
        return lines.toString();
    }

    /** The clauses of a sentence up to the first that carries numbers; the first one is always kept. */
    static String headline(String sentence) {
        StringBuilder kept = new StringBuilder();
        for (String clause : CLAUSE_END.split(sentence)) {
            if (kept.length() > 0 && NUMBER.matcher(clause).find()) {
                break;
            }
            kept.append(clause);
        }
        return oneLine(kept.toString(), MAX_SENTENCE_CHARS);
    }

    /** No line breaks and no more than so many characters, cut between characters and marked. */
    static String oneLine(String text, int maxChars) {
        String line = LINE_BREAKS.matcher(text).replaceAll(" ").trim();
        if (line.length() <= maxChars) {
            return line;
        }
        int end = maxChars - CUT.length();
        return line.substring(0, Character.isHighSurrogate(line.charAt(end - 1)) ? end - 1 : end) + CUT;
    }

    private static void putText(ObjectNode node, String field, String value) {
        if (!value.isEmpty()) {
            node.put(field, value);
        }
    }

    private static void putList(ObjectNode node, String field, JsonNode list) {
        if (list.isArray()) {
            node.set(field, list);
        }
    }

    private static void line(StringBuilder lines, String name, String value) {
        if (!value.isEmpty()) {
            lines.append(name).append(": ").append(value).append('\n');
        }
    }
}
