package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.Softphone;

/** A softphone that a thread has registered and nobody has unregistered yet. Used by its JMeter thread only. */
public final class RegisteredSoftphone {
    private final String configuration;
    private final Softphone softphone;

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
