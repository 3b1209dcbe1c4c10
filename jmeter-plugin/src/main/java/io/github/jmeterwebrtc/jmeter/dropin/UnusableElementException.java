package io.github.jmeterwebrtc.jmeter.dropin;

/**
 * Properties of a sampler are of no use at all: server and path make no URL, say. JMeter logs it and the sampler gives no
 * result, as plans are used to: a test with such an element has one row less, not a failed one more.
 */
final class UnusableElementException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UnusableElementException(String message, Exception cause) {
        super(message, cause);
    }
}
