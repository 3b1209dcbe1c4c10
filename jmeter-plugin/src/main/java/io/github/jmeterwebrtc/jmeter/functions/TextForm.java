package io.github.jmeterwebrtc.jmeter.functions;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.io.UnsupportedEncodingException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.commons.text.StringEscapeUtils;

/** How a description is written into the text around it. Pure. */
final class TextForm {
    /** Description of the parameter. */
    static final String PARAMETER = "Written as: sdp (default), json (inside a JSON string), xml, base64, url";

    private TextForm() {
    }

    /**
     * A text in a form.
     *
     * @param form empty = as it is
     */
    static String of(String form, String text) throws InvalidElementException {
        switch (form) {
            case "":
            case "sdp":
                return text;
            case "json":
                return new String(JsonStringEncoder.getInstance().quoteAsString(text));
            case "xml":
                // A parser of XML makes LF of a literal CR LF (XML 1.0 2.11).
                return StringEscapeUtils.escapeXml10(text).replace("\r", "&#xD;");
            case "base64":
                return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
            case "url":
                try {
                    return URLEncoder.encode(text, StandardCharsets.UTF_8.name());
                } catch (UnsupportedEncodingException e) {
                    throw new IllegalStateException("every Java has UTF-8", e);
                }
            default:
                throw new InvalidElementException("form: '" + form + "' is not sdp, json, xml, base64 or url");
        }
    }
}
