package io.github.jmeterwebrtc.jmeter.run;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ProgressLineTest {
    private static final String SNAPSHOT = "{\"softphones\":{\"connected\":200,\"failed\":0,\"talking\":200,\"open\":3},"
            + "\"webSockets\":{\"open\":2},\"udpSockets\":{\"open\":1},"
            + "\"media\":{\"packetsSent\":10000,\"packetsReceived\":9998,\"packetsLost\":0},"
            + "\"generator\":{\"cpuSeconds\":1.5,\"loopLagP99Ms\":1.23,\"receiveBufferErrors\":0}}";

    @Test
    void oneLineTellsHowTheTestGoes() throws Exception {
        assertEquals("WebRTC  200 connected  0 failed  200 talking | packets 10,000 out 9,998 in 0 lost"
                + " | generator cpu 35 % lag p99 1.2 ms rcvbuf errors 0", ProgressLine.line(snapshot(), 35.4));
    }

    @Test
    void theSummaryCountsWhatWasLeftOpen() throws Exception {
        JsonNode summary = SummaryFile.withLeftOpen(new ObjectMapper(), snapshot());
        assertEquals("{\"softphones\":3,\"webSockets\":2,\"udpSockets\":1}", summary.path("leftOpen").toString());
        assertEquals(200, summary.path("softphones").path("connected").asInt());
    }

    private static JsonNode snapshot() throws Exception {
        return new ObjectMapper().readTree(SNAPSHOT);
    }
}
