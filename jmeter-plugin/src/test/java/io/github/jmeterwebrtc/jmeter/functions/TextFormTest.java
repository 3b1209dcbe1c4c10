package io.github.jmeterwebrtc.jmeter.functions;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class TextFormTest {
    private static final String SDP = "v=0\r\ns=\"<&>\"\r\n";

    @Test
    void aDescriptionIsWrittenForTheTextAroundIt() throws Exception {
        assertEquals(SDP, TextForm.of("", SDP));
        assertEquals(SDP, TextForm.of("sdp", SDP));
        assertEquals("v=0\\r\\ns=\\\"<&>\\\"\\r\\n", TextForm.of("json", SDP));
        assertEquals("v=0&#xD;\ns=&quot;&lt;&amp;&gt;&quot;&#xD;\n", TextForm.of("xml", SDP));
        assertEquals("dj0wDQpzPSI8Jj4iDQo=", TextForm.of("base64", SDP));
        assertEquals("v%3D0%0D%0As%3D%22%3C%26%3E%22%0D%0A", TextForm.of("url", SDP));
    }

    @Test
    void anUnknownFormIsRefusedByName() {
        assertEquals("form: 'yaml' is not sdp, json, xml, base64 or url",
                assertThrows(InvalidElementException.class, () -> TextForm.of("yaml", SDP)).getMessage());
    }
}
