package io.github.jmeterwebrtc;

/**
 * The native library cannot be used in this JVM. The message says why (platform, file, volume, version) and what to
 * do; the cause is the linker's own error, if there was one.
 */
public final class EngineUnavailableException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    EngineUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
