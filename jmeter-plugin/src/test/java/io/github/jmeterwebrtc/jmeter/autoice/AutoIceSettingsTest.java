package io.github.jmeterwebrtc.jmeter.autoice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.config.WebRtcDefaults;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceMode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterThread;
import org.apache.jmeter.threads.JMeterVariables;
import org.apache.jmeter.threads.SamplePackage;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class AutoIceSettingsTest {
    private final AutoIce element = new AutoIce();

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void removeProperties() {
        JMeterUtils.getJMeterProperties().remove(AutoIceMode.PROPERTY);
        JMeterUtils.getJMeterProperties().remove(AutoIceSettings.ICE_SERVERS);
        JMeterContextService.getContext().clear();
    }

    @Test
    void socketsOfExistingPlansHaveItByDefaultAndOthersDoNot() throws Exception {
        assertEquals("{\"mode\":\"on\",\"session\":{}}", AutoIceSettings.ofSocket(true, scope()).config().toString());
        assertNull(AutoIceSettings.ofSocket(false, scope()));
    }

    @Test
    void anElementInScopeGivesItToOtherSocketsToo() throws Exception {
        assertEquals("on", AutoIceSettings.ofSocket(false, scope(element)).config().path("mode").asText());
    }

    @Test
    void thePropertyGoesBeforeTheElement() throws Exception {
        element.setMode("on");
        JMeterUtils.setProperty(AutoIceMode.PROPERTY, "off");
        assertNull(AutoIceSettings.ofSocket(true, scope(element)));
        assertNull(AutoIceSettings.ofElement(element, scope(element)));
        JMeterUtils.setProperty(AutoIceMode.PROPERTY, "report");
        assertEquals("report", AutoIceSettings.ofSocket(false, scope()).config().path("mode").asText());
    }

    @Test
    void aPropertyThatNobodyUnderstandsIsOff() throws Exception {
        JMeterUtils.setProperty(AutoIceMode.PROPERTY, "yes");
        assertNull(AutoIceSettings.ofSocket(true, scope()));
    }

    @Test
    void theInnermostElementCountsAlone() throws Exception {
        AutoIce outer = new AutoIce();
        outer.setMode("off");
        element.setOverlay(true);
        element.setDialogField("conversation");
        element.setGatherWait("700");
        element.setAnswerWait("0");
        assertEquals("{\"mode\":\"on\",\"overlay\":true,\"dialogField\":\"conversation\",\"gatherWaitMs\":700,"
                + "\"answerWaitMs\":0,\"session\":{}}", AutoIceSettings.ofSocket(true, scope(element, outer)).config().toString());
    }

    @Test
    void defaultsAreMergedFieldByFieldFromTheInnermost() throws Exception {
        WebRtcDefaults inner = new WebRtcDefaults();
        inner.setProperty(WebRtcDefaults.CODECS, "pcmu");
        WebRtcDefaults outer = new WebRtcDefaults();
        outer.setProperty(WebRtcDefaults.CODECS, "opus");
        outer.setProperty(WebRtcDefaults.FIRST_RTP_TIMEOUT, "9000");
        outer.setProperty(WebRtcDefaults.ICE_SERVERS, "[{\"urls\":\"stun:127.0.0.1:3478\"}]");
        JMeterUtils.setProperty(AutoIceSettings.ICE_SERVERS, "[{\"urls\":\"stun:192.0.2.1\"}]");
        ObjectNode config = AutoIceSettings.ofSocket(true, scope(inner, outer)).config();
        assertEquals("{\"iceServers\":[{\"urls\":[\"stun:127.0.0.1:3478\"]}],\"codecs\":[\"pcmu\"]}",
                config.path("session").toString());
        assertEquals(9000, config.path("firstRtpTimeoutMs").asInt());
    }

    @Test
    void thePropertyHasTheIceServersWhereNoElementHasAny() throws Exception {
        JMeterUtils.setProperty(AutoIceSettings.ICE_SERVERS, "[{\"urls\":\"stun:127.0.0.1:3478\"}]");
        assertEquals("[{\"urls\":[\"stun:127.0.0.1:3478\"]}]",
                AutoIceSettings.ofFunctions(scope()).config().path("session").path("iceServers").toString());
    }

    @Test
    void badValuesAreRefusedByName() {
        element.setMode("maybe");
        refused("mode: 'maybe' is not on, report or off", element);
        element.setMode("");
        element.setGatherWait("soon");
        refused("gatherWait: 'soon' is not a whole number", element);
        JMeterUtils.setProperty(AutoIceSettings.ICE_SERVERS, "stun:127.0.0.1");
        assertEquals(AutoIceSettings.ICE_SERVERS, assertThrows(InvalidElementException.class,
                () -> AutoIceSettings.ofSocket(true, scope())).getMessage().split(":")[0]);
    }

    private static void refused(String message, ConfigTestElement... configs) {
        assertEquals(message, assertThrows(InvalidElementException.class,
                () -> AutoIceSettings.ofSocket(true, scope(configs))).getMessage());
    }

    /** A context whose sampler has these elements in scope, from the innermost. */
    private static JMeterContext scope(ConfigTestElement... configs) {
        JMeterContext context = JMeterContextService.getContext();
        JMeterVariables variables = new JMeterVariables();
        variables.putObject(JMeterThread.PACKAGE_OBJECT, new SamplePackage(new ArrayList<>(Arrays.asList(configs)),
                Collections.emptyList(), Collections.emptyList(), Collections.emptyList(), Collections.emptyList(),
                Collections.emptyList(), Collections.emptyList()));
        context.setVariables(variables);
        return context;
    }
}
