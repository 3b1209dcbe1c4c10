package io.github.jmeterwebrtc.jmeter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(20)
class CannedSdpTest {
    private static final String SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:abcd\r\n";
    private static final String ESCAPED = SDP.replace("\r\n", "\\r\\n");

    @Test
    void aShapeIsNamedByWhatIsAroundTheDescription() {
        assertEquals("SDP", CannedSdp.shape(SDP));
        assertEquals("SDP", CannedSdp.shape(SDP.replace("\r\n", "\n")));
        assertEquals("JSON", CannedSdp.shape("{\"type\":\"offer\",\"sdp\":\"" + ESCAPED + "\"}"));
        assertEquals("JSON in JSON", CannedSdp.shape("{\"payload\":\"{\\\"sdp\\\":\\\"" + SDP.replace("\r\n", "\\\\r\\\\n") + "\\\"}\"}"));
        assertEquals("SIP", CannedSdp.shape("INVITE sip:bob@lab SIP/2.0\r\nContent-Length: 99\r\n\r\n" + SDP));
        assertEquals("XMPP", CannedSdp.shape("<iq xmlns=\"jabber:client\"><x>{\"sdp\":\"" + ESCAPED + "\"}</x></iq>"));
        assertEquals("XML", CannedSdp.shape("<offer>" + SDP + "</offer>"));
        assertEquals("Socket.IO", CannedSdp.shape("42[\"offer\",{\"sdp\":\"" + ESCAPED + "\"}]"));
        assertEquals("STOMP", CannedSdp.shape("SEND\ndestination:/a\n\n{\"sdp\":\"" + ESCAPED + "\"}\0"));
        assertEquals("form", CannedSdp.shape("type=offer&sdp=v%3D0%0D%0Ao%3D-%0D%0Am%3Daudio%209"));
        assertEquals("base64", CannedSdp.shape("{\"payload\":\"" + Base64.getEncoder()
                .encodeToString(("{\"sdp\":\"" + ESCAPED + "\"}").getBytes(StandardCharsets.UTF_8)) + "\"}"));
    }

    @Test
    void aCandidateIsFoundWithoutADescription() {
        assertEquals("JSON", CannedSdp.shape("{\"candidate\":\"candidate:1 1 udp 2122063615 192.0.2.1 47030 typ host\"}"));
        assertEquals("SDP", CannedSdp.shape("a=end-of-candidates\r\n"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", "hello", "{\"candidate\":\"Jane Doe\",\"office\":3}", "a page about v=0 in SDP and its ice", "rev=0.1 m=audio",
        "{\"token\":\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9eyJzdWIiOiIxMjM0NTY3ODkwIn0SflKxwRJSMeKKF2QT4fwpM\"}"})
    void anOrdinaryTextHoldsNothing(String text) {
        assertNull(CannedSdp.shape(text));
    }
}
