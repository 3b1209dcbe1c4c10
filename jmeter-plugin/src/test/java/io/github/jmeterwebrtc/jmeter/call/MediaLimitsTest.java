package io.github.jmeterwebrtc.jmeter.call;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class MediaLimitsTest {
    private static final String CHECK = "{\"intervalMs\":2000,\"packetsReceived\":%d,\"packetsLost\":%d,"
            + "\"jitterMs\":4.5,\"roundTripTimeMs\":%s}";

    @Test
    void mediaWithinTheLimitsAreAccepted() throws Exception {
        assertNull(new MediaLimits(98, 2.0, 5.0, 80.0).breach(check(98, 2, "79.9")));
        assertNull(new MediaLimits(0, null, null, null).breach(check(0, 0, "null")));
    }

    @Test
    void silenceIsTold() throws Exception {
        MediaLimits.Breach breach = new MediaLimits(1, null, null, null).breach(check(0, 0, "null"));
        assertEquals("MEDIA_NONE_IN", breach.code());
        assertEquals("0 RTP packets received in 2.0 s, at least 1 expected", breach.message());
    }

    @Test
    void lossIsToldAsPercentOfWhatWasExpected() throws Exception {
        MediaLimits.Breach breach = new MediaLimits(1, 1.0, null, null).breach(check(98, 2, "null"));
        assertEquals("CHECK_FAILED", breach.code());
        assertEquals("2.00 % of RTP packets lost (2 of 100), at most 1.0 % accepted", breach.message());
    }

    @Test
    void duplicatesAreNoLoss() throws Exception {
        assertNull(new MediaLimits(1, 0.0, null, null).breach(check(100, -3, "null")));
    }

    @Test
    void jitterIsTold() throws Exception {
        assertEquals("CHECK_FAILED", new MediaLimits(1, null, 4.0, null).breach(check(100, 0, "null")).code());
    }

    @Test
    void anUnknownRoundTripTimeIsAccepted() throws Exception {
        assertNull(new MediaLimits(1, null, null, 1.0).breach(check(100, 0, "null")));
        assertEquals("CHECK_FAILED", new MediaLimits(1, null, null, 1.0).breach(check(100, 0, "1.5")).code());
    }

    private static JsonNode check(int received, int lost, String roundTrip) throws Exception {
        return new ObjectMapper().readTree(String.format(CHECK, received, lost, roundTrip));
    }
}
