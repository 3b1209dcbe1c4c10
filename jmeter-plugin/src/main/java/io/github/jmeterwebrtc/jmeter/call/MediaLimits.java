package io.github.jmeterwebrtc.jmeter.call;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.jmeterwebrtc.jmeter.result.Codes;
import java.util.Locale;

/** What a WebRTC Media Check accepts; null = no limit. Pure. */
final class MediaLimits {
    private static final double PERCENT = 100;

    private final long minPacketsReceived;
    private final Double maxLossPercent;
    private final Double maxJitterMs;
    private final Double maxRoundTripTimeMs;

    MediaLimits(long minPacketsReceived, Double maxLossPercent, Double maxJitterMs, Double maxRoundTripTimeMs) {
        this.minPacketsReceived = minPacketsReceived;
        this.maxLossPercent = maxLossPercent;
        this.maxJitterMs = maxJitterMs;
        this.maxRoundTripTimeMs = maxRoundTripTimeMs;
    }

    /** The first limit that is broken, in the order packets, loss, jitter, round trip; null when none is. */
    Breach breach(JsonNode check) {
        long received = check.path("packetsReceived").asLong();
        long lost = check.path("packetsLost").asLong();
        double seconds = check.path("intervalMs").asDouble() / 1000;
        if (received < minPacketsReceived) {
            return new Breach(Codes.MEDIA_NONE_IN, String.format(Locale.ROOT,
                    "%d RTP packets received in %.1f s, at least %d expected", received, seconds, minPacketsReceived));
        }
        double loss = lost <= 0 ? 0 : PERCENT * lost / (received + lost);
        if (maxLossPercent != null && loss > maxLossPercent) {
            return new Breach(Codes.CHECK_FAILED, String.format(Locale.ROOT,
                    "%.2f %% of RTP packets lost (%d of %d), at most %s %% accepted", loss, lost, received + lost,
                    maxLossPercent));
        }
        double jitter = check.path("jitterMs").asDouble();
        if (maxJitterMs != null && jitter > maxJitterMs) {
            return new Breach(Codes.CHECK_FAILED, String.format(Locale.ROOT,
                    "Jitter is %.2f ms, at most %s ms accepted", jitter, maxJitterMs));
        }
        JsonNode roundTrip = check.path("roundTripTimeMs");
        if (maxRoundTripTimeMs != null && roundTrip.isNumber() && roundTrip.asDouble() > maxRoundTripTimeMs) {
            return new Breach(Codes.CHECK_FAILED, String.format(Locale.ROOT,
                    "Round trip time is %.2f ms, at most %s ms accepted", roundTrip.asDouble(), maxRoundTripTimeMs));
        }
        return null;
    }

    /** A limit that is broken. */
    static final class Breach {
        private final String code;
        private final String message;

        Breach(String code, String message) {
            this.code = code;
            this.message = message;
        }

        String code() {
            return code;
        }

        String message() {
            return message;
        }
    }
}
