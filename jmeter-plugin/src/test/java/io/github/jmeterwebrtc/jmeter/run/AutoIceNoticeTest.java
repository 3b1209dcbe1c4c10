package io.github.jmeterwebrtc.jmeter.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.dropin.SingleWriteWebSocketSampler;
import io.github.jmeterwebrtc.jmeter.plan.AutoIceMode;
import io.github.jmeterwebrtc.jmeter.plan.OwnSocket;
import io.github.jmeterwebrtc.jmeter.plan.PlanScan;
import java.util.List;
import org.apache.jmeter.protocol.http.sampler.HTTPSamplerProxy;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.ThreadGroup;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.ListedHashTree;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class AutoIceNoticeTest {
    private static final String SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:abcd\r\n";
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HTTPSamplerProxy http = new HTTPSamplerProxy();

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void aPlanWithoutDescriptionsIsToldNothing() throws Exception {
        AutoIceNotice notice = new AutoIceNotice(PlanScan.of(null, e -> true, e -> true), AutoIceMode.ON);
        assertEquals("[]", notice.startText().toString());
        assertEquals("[]", notice.endText(snapshot("{}")).toString());
    }

    @Test
    void theStartSaysWhatWasFoundTheLoadAndTheSwitch() {
        String text = String.join("\n", notice(AutoIceMode.ON).startText());
        assertTrue(text.contains("is on: live calls stand behind the session descriptions of 1 sampler: 'offer' (SDP)"), text);
        assertTrue(text.contains("at most: 40 calls at a time (one for each thread and dialog), 40 UDP sockets, 4,000 packets/s"), text);
        assertTrue(text.contains("-Jwebrtc.auto_ice=off"), text);
        assertTrue(text.contains("does not reach 1 sampler with session descriptions: 'http' (SDP)"), text);
    }

    @Test
    void reportSaysThatNothingIsReplacedAndOffSaysThatItIsOff() {
        assertTrue(notice(AutoIceMode.REPORT).startText().get(0).contains("only reports"));
        List<String> off = notice(AutoIceMode.OFF).startText();
        assertEquals(1, off.size());
        assertTrue(off.get(0).contains("is off (webrtc.auto_ice=off): 2 samplers"), off.get(0));
    }

    @Test
    void theEndCountsSamplesWithoutALiveSessionOnceEachAndNamesTheFunction() throws Exception {
        AutoIceNotice notice = notice(AutoIceMode.ON);
        JMeterContext context = JMeterContextService.getContext();
        for (int sample = 0; sample < 3; sample++) {
            context.setPreviousResult(new SampleResult());
            // Each element of a plan tells of each sample.
            notice.sampled(http, context);
            notice.sampled(http, context);
        }
        String text = String.join("\n", notice.endText(snapshot("{}")));
        assertTrue(text.contains("3 samples carried no live session: 'http' (3)"), text);
        assertTrue(text.contains("${__webrtcOffer()}"), text);
    }

    @Test
    void theEndSaysWhatBecameOfTheCallsAndWhatWasLeftAndWhy() throws Exception {
        String text = String.join("\n", notice(AutoIceMode.ON).endText(snapshot(
                "{\"autoIce\":{\"calls\":4,\"connected\":3,\"failed\":1,\"lost\":0,\"replaced\":2,\"leaked\":1,\"offers\":4,"
                        + "\"answers\":0,\"candidates\":8,\"wouldSwap\":[{\"what\":\"offer\",\"path\":\"JSON sdp\",\"count\":5}],"
                        + "\"left\":[{\"reason\":\"the body is signed\",\"path\":\"SIP INVITE body\",\"count\":2}]}}")));
        assertTrue(text.contains("4 calls, 3 connected, 1 failed, 0 lost, 2 replaced by a new call, 1 never hung up"), text);
        assertTrue(text.contains("would replace 5 times: offer at JSON sdp"), text);
        assertTrue(text.contains("left as it was 2 times: SIP INVITE body: the body is signed"), text);
    }

    private static JsonNode snapshot(String json) throws Exception {
        return JSON.readTree(json);
    }

    private AutoIceNotice notice(AutoIceMode mode) {
        HashTree tree = new ListedHashTree();
        ThreadGroup group = new ThreadGroup();
        group.setNumThreads(40);
        HashTree inner = tree.add(group);
        SingleWriteWebSocketSampler offer = new SingleWriteWebSocketSampler();
        offer.setName("offer");
        offer.setProperty("requestData", SDP);
        inner.add(offer);
        http.setName("http");
        http.addNonEncodedArgument("", SDP, "");
        inner.add(http);
        return new AutoIceNotice(PlanScan.of(tree, e -> e instanceof OwnSocket, e -> false), mode);
    }
}
