package io.github.jmeterwebrtc.jmeter.autoice;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ApplyRemoteSdpTest {
    @Test
    void aTextSaysWhatItIs() {
        assertEquals("offer", ApplyRemoteSdp.typeOf("v=0\r\na=setup:actpass\r\n"));
        assertEquals("answer", ApplyRemoteSdp.typeOf(" v=0\na=setup:active\n"));
        assertEquals("candidate", ApplyRemoteSdp.typeOf("candidate:1 1 udp 2 192.0.2.1 3 typ host"));
        assertEquals("candidate", ApplyRemoteSdp.typeOf("{\"candidate\":\"candidate:1\"}"));
    }
}
