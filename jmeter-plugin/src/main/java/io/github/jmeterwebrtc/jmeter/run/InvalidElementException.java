package io.github.jmeterwebrtc.jmeter.run;

/** A property of an element cannot be used; the message names the property and its value. */
public final class InvalidElementException extends Exception {
    private static final long serialVersionUID = 1L;

    private final String code;

    /**
     * With the sampler's usual response code.
     *
     * @param message a sentence with field and value
     */
    public InvalidElementException(String message) {
        this(null, message);
    }

    /**
     * With a response code of its own.
     *
     * @param code the response code
     * @param message a sentence with field and value
     */
    public InvalidElementException(String code, String message) {
        super(message);
        this.code = code;
    }

    /**
     * The response code.
     *
     * @return null = the sampler's usual one
     */
    public String code() {
        return code;
    }
}
