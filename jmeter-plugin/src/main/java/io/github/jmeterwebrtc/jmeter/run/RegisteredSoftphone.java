package io.github.jmeterwebrtc.jmeter.run;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.Softphone;

/** A softphone that a thread has registered and nobody has unregistered yet. Used by its JMeter thread only. */
public final class RegisteredSoftphone {
    private final String configuration;
    private final Softphone softphone;
    /** Which registration of it was lost last, as far as was told; 0 = none. */
    private long toldLoss;

    /**
     * Remembers a softphone.
     *
     * @param configuration what it was registered with
     * @param softphone the softphone
     */
    public RegisteredSoftphone(String configuration, Softphone softphone) {
        this.configuration = configuration;
        this.softphone = softphone;
    }

    /**
     * Whether it is what a configuration asks for: the same profile, user and session settings.
     *
     * @param wanted a configuration
     * @return true when nothing differs
     */
    public boolean isOf(String wanted) {
        return configuration.equals(wanted);
    }

    /**
     * The softphone.
     *
     * @return in whatever state
     */
    public Softphone softphone() {
        return softphone;
    }

    /**
     * How it lost its registration since this was asked for last.
     *
     * @param report what {@link Softphone#report()} tells
     * @return cause and reason in words; empty where it was not lost
     */
    public String lostSince(JsonNode report) {
        JsonNode loss = report.path("lastLoss");
        long registration = loss.path("registration").asLong();
        if (registration <= toldLoss) {
            return "";
        }
        toldLoss = registration;
        return loss.path("cause").asText() + ": " + loss.path("why").asText();
    }

    /**
     * The sentence for an element whose softphone is not there.
     *
     * @param name its name
     * @return names the field
     */
    public static String missing(String name) {
        return "softphone: there is no softphone '" + name + "' in this thread; a WebRTC Softphone Register before this element makes"
                + " one, and one that failed or is unregistered is none";
    }
}
