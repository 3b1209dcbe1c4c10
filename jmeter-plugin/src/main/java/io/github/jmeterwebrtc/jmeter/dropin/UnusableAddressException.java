package io.github.jmeterwebrtc.jmeter.dropin;

/**
 * Server and path of a sampler make no URL. JMeter logs it and the sampler gives no result, as plans are used to: a test
 * with such an element has one row less, not a failed one more.
 */
final class UnusableAddressException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UnusableAddressException(String message, Exception cause) {
        super(message, cause);
    }
}
