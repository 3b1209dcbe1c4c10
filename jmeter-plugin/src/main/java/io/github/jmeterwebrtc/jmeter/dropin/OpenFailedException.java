package io.github.jmeterwebrtc.jmeter.dropin;

import java.io.IOException;

/** Opening a connection failed and the result says how; nothing of the sample is left to be done. */
final class OpenFailedException extends IOException {
    private static final long serialVersionUID = 1L;
}
