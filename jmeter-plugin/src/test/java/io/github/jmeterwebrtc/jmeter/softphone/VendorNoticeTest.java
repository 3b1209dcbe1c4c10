package io.github.jmeterwebrtc.jmeter.softphone;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class VendorNoticeTest {
    @Test
    void theRuleForLoadTestsIsPrintedOnceInATest() throws Exception {
        assertEquals("WebRTC softphones: Ask first." + System.lineSeparator(),
                printed(json("{\"notice\":\"Ask first.\"}"), json("{\"notice\":\"Ask first.\"}")));
    }

    @Test
    void itIsPrintedWhereTheRegistrationFailed() throws Exception {
        assertEquals("WebRTC softphones: Ask first." + System.lineSeparator(),
                printed(json("{\"success\":false,\"code\":\"UPGRADE_UNAUTHORIZED\",\"notice\":\"Ask first.\"}")));
    }

    @Test
    void nothingIsPrintedWhereThereIsNoRule() throws Exception {
        assertEquals("", printed(json("{\"notice\":null,\"identity\":{\"sameUserHere\":2}}"), json("{}")));
    }

    private static String printed(JsonNode... registrations) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream before = System.out;
        System.setOut(new PrintStream(bytes, true, "UTF-8"));
        try (VendorNotice notice = new VendorNotice()) {
            for (JsonNode registered : registrations) {
                notice.heard(registered);
            }
        } finally {
            System.setOut(before);
        }
        return new String(bytes.toByteArray(), StandardCharsets.UTF_8);
    }

    private static JsonNode json(String text) throws Exception {
        return new ObjectMapper().readTree(text);
    }
}
