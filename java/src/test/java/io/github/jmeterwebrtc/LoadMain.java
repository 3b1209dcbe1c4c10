package io.github.jmeterwebrtc;

/** Loads the library and says how it went in one line. */
public final class LoadMain {
    private LoadMain() {
    }

    /**
     * The entry.
     *
     * @param arguments none
     */
    public static void main(String[] arguments) {
        try {
            System.out.println("loaded " + Engine.get().version());
        } catch (EngineUnavailableException e) {
            System.out.println("unavailable: " + e.getMessage());
        }
    }
}
