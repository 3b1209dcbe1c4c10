package io.github.jmeterwebrtc.jmeter.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.call.CallSampler;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class CallSettingsTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void nothingSetLeavesTheEnginesDefaults() throws Exception {
        assertEquals("{\"session\":{}}", CallSettings.of(new CallSampler()).config().toString());
    }

    @Test
    void everythingSetIsHandedOver() throws Exception {
        WebRtcDefaults defaults = new WebRtcDefaults();
        defaults.setProperty(WebRtcDefaults.ICE_SERVERS,
                "[{\"urls\":\"stun:a\"},{\"urls\":[\"turn:b\"],\"username\":\"u\",\"credential\":\"c\"}]");
        defaults.setProperty(WebRtcDefaults.ICE_TRANSPORT_POLICY, "relay");
        defaults.setProperty(WebRtcDefaults.SOURCE_ADDRESS, "127.0.0.2");
        defaults.setProperty(WebRtcDefaults.TRICKLE, "false");
        defaults.setProperty(WebRtcDefaults.CODECS, "PCMU, opus");
        defaults.setProperty(WebRtcDefaults.SEND_AUDIO, "true");
        defaults.setProperty(WebRtcDefaults.GATHER_TIMEOUT, "1");
        defaults.setProperty(WebRtcDefaults.CONNECT_TIMEOUT, "2");
        defaults.setProperty(WebRtcDefaults.ICE_CHECK_INTERVAL, "3");
        defaults.setProperty(WebRtcDefaults.ANSWER_TIMEOUT, "4");
        defaults.setProperty(WebRtcDefaults.FIRST_RTP_TIMEOUT, "5");
        defaults.setProperty(WebRtcDefaults.BYE_TIMEOUT, "6");
        CallSampler sampler = new CallSampler();
        sampler.addTestElement(defaults);
        assertEquals("{\"session\":{\"iceServers\":[{\"urls\":[\"stun:a\"]},"
                + "{\"urls\":[\"turn:b\"],\"username\":\"u\",\"credential\":\"c\"}],"
                + "\"iceTransportPolicy\":\"relay\",\"sourceAddress\":\"127.0.0.2\",\"trickle\":false,"
                + "\"codecs\":[\"pcmu\",\"opus\"],\"sendAudio\":true,\"gatherTimeoutMs\":1,\"connectTimeoutMs\":2,"
                + "\"iceCheckIntervalMs\":3},\"answerTimeoutMs\":4,\"firstRtpTimeoutMs\":5,\"byeTimeoutMs\":6}",
                CallSettings.of(sampler).config().toString());
    }

    @Test
    void aCallOfASoftphoneTakesTheTimeoutsAndTheGateOnly() throws Exception {
        CallSampler sampler = new CallSampler();
        sampler.setProperty(WebRtcDefaults.TRICKLE, "false");
        sampler.setProperty(WebRtcDefaults.CONNECT_TIMEOUT, "2");
        sampler.setProperty(WebRtcDefaults.BYE_TIMEOUT, "6");
        sampler.setProperty(WebRtcDefaults.GATE_IN_FLIGHT, "3");
        CallSettings settings = CallSettings.of(sampler);
        assertEquals("{\"gate\":{\"inFlight\":3},\"connectTimeoutMs\":2}", settings.softphoneCall().toString());
        assertEquals(settings.overallTimeoutMs() + 20_000, settings.softphoneTimeoutMs(), "it may ring for 30 s");
        sampler.setProperty(WebRtcDefaults.ANSWER_TIMEOUT, "4");
        settings = CallSettings.of(sampler);
        assertEquals(settings.overallTimeoutMs(), settings.softphoneTimeoutMs());
    }

    @Test
    void innerDefaultsWinFieldByField() throws Exception {
        WebRtcDefaults inner = new WebRtcDefaults();
        inner.setProperty(WebRtcDefaults.TRICKLE, "false");
        inner.setProperty(WebRtcDefaults.SOURCE_ADDRESS, "");
        WebRtcDefaults outer = new WebRtcDefaults();
        outer.setProperty(WebRtcDefaults.TRICKLE, "true");
        outer.setProperty(WebRtcDefaults.SOURCE_ADDRESS, "127.0.0.3");
        CallSampler sampler = new CallSampler();
        sampler.addTestElement(inner);
        sampler.addTestElement(outer);
        assertEquals("{\"session\":{\"sourceAddress\":\"127.0.0.3\",\"trickle\":false}}",
                CallSettings.of(sampler).config().toString());
    }

    @Test
    void onlyOurDefaultsAreMergedIntoACall() {
        CallSampler sampler = new CallSampler();
        assertFalse(sampler.applies(new HeaderManager()));
        assertTrue(sampler.applies(new WebRtcDefaults()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "WebRTC.gatherTimeout; -1; gatherTimeout: '-1' is not between 1 and 3600000",
        "WebRTC.connectTimeout; 99999999999999999999; connectTimeout: '99999999999999999999' is not a whole number",
        "WebRTC.trickle; yes; trickle: 'yes' is not true or false",
        "WebRTC.iceServers; {}; iceServers: expected a JSON array of RTCIceServer objects, found object",
    })
    void whatCannotBeUsedIsNamed(String property, String value, String message) {
        CallSampler sampler = new CallSampler();
        sampler.setProperty(property, value);
        InvalidElementException refused = assertThrows(InvalidElementException.class, () -> CallSettings.of(sampler));
        assertEquals(message, refused.getMessage());
    }

    @Test
    void brokenJsonIsToldByPlaceAndNotByContent() {
        CallSampler sampler = new CallSampler();
        sampler.setProperty(WebRtcDefaults.ICE_SERVERS, "[{\"credential\":\"secret\" oops]");
        InvalidElementException refused = assertThrows(InvalidElementException.class, () -> CallSettings.of(sampler));
        assertTrue(refused.getMessage().startsWith("iceServers: not JSON at line 1, column "), refused.getMessage());
        assertFalse(refused.getMessage().contains("secret"), refused.getMessage());
    }
}
