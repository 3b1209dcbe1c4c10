package io.github.jmeterwebrtc.jmeter.autoice;

/** Names of calls, which may be empty in a plan and may not be in the engine. */
public final class CallName {
    private static final String OF_NONE = "call";

    private CallName() {
    }

    /**
     * The engine's name of a call.
     *
     * @param name the plan's name; may be empty
     * @return never empty
     */
    public static String ofEngine(String name) {
        return name.isEmpty() ? OF_NONE : name;
    }
}
