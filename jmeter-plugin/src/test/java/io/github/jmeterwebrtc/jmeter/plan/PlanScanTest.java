package io.github.jmeterwebrtc.jmeter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIce;
import io.github.jmeterwebrtc.jmeter.dropin.SingleWriteWebSocketSampler;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.jmeter.config.Arguments;
import org.apache.jmeter.protocol.http.sampler.HTTPSamplerProxy;
import org.apache.jmeter.testelement.TestPlan;
import org.apache.jmeter.threads.ThreadGroup;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.ListedHashTree;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
class PlanScanTest {
    private static final String SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:abcd\r\n";

    private final HashTree tree = new ListedHashTree();
    private final HashTree group = tree.add(new TestPlan()).add(threads(7));

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void aPlanWithoutDescriptionsHasNoPlaces() {
        group.add(write("hello", "hi"));
        assertEquals(0, scan().places().size());
        assertEquals(0, scan().threads());
        assertEquals(0, PlanScan.of(null, element -> true, element -> true).places().size());
    }

    @Test
    void aSocketOfTheirOwnReachesSamplersAndTheThreadsOfTheirGroupAreTheLoad() {
        group.add(write("offer", SDP));
        group.add(write("candidate", "{\"candidate\":\"candidate:1 1 udp 2 192.0.2.1 3 typ host\"}"));
        assertEquals("[offer SDP SOCKET, candidate JSON SOCKET]", places());
        assertEquals(7, scan().threads());
    }

    @Test
    void anElementInScopeReachesAnHttpSamplerAndOneBesideItDoesNot() {
        group.add(http("out of reach"));
        HashTree sampler = group.add(http("in reach"));
        sampler.add(new AutoIce());
        assertEquals("[out of reach SDP NONE, in reach SDP ELEMENT]", places());
    }

    @Test
    void anElementAtTheGroupReachesAllOfIt() {
        group.add(new AutoIce());
        group.add(http("http"));
        assertEquals("[http SDP ELEMENT]", places());
    }

    @Test
    void anElementThatIsOffReachesNothing() {
        AutoIce off = new AutoIce();
        off.setMode("off");
        group.add(off);
        group.add(http("http"));
        assertEquals("[http SDP NONE]", places());
    }

    @Test
    void aDescriptionInAVariableOrAFileIsFound(@TempDir Path folder) throws Exception {
        Arguments variables = new Arguments();
        variables.addArgument("canned", SDP);
        group.add(variables);
        group.add(write("from a variable", "{\"sdp\":\"${canned}\"}"));
        Path file = Files.write(folder.resolve("offer.txt"), SDP.getBytes());
        SingleWriteWebSocketSampler ofFile = write("from a file", "");
        ofFile.setProperty("dataFile", file.toString());
        group.add(ofFile);
        assertEquals("[from a variable JSON SOCKET, from a file SDP SOCKET]", places());
    }

    @Test
    void aScriptIsOutOfReachAlsoInTheScopeOfAnElement() {
        group.add(new AutoIce());
        HTTPSamplerProxy script = new HTTPSamplerProxy();
        script.setName("script");
        script.setProperty("script", "def sdp = '" + SDP + "'");
        group.add(script);
        assertEquals("[script text SCRIPT]", places());
    }

    private String places() {
        List<String> words = scan().places().stream()
                .map(place -> place.sampler() + " " + place.shape() + " " + place.reach()).collect(Collectors.toList());
        return words.toString();
    }

    private PlanScan scan() {
        return PlanScan.of(tree, element -> element instanceof OwnSocket && ((OwnSocket) element).hasAutoIceByDefault(),
                element -> element instanceof AutoIceScope && ((AutoIceScope) element).wanted() != AutoIceMode.OFF);
    }

    private static ThreadGroup threads(int number) {
        ThreadGroup group = new ThreadGroup();
        group.setNumThreads(number);
        return group;
    }

    private static SingleWriteWebSocketSampler write(String name, String data) {
        SingleWriteWebSocketSampler sampler = new SingleWriteWebSocketSampler();
        sampler.setName(name);
        sampler.setProperty("requestData", data);
        return sampler;
    }

    private static HTTPSamplerProxy http(String name) {
        HTTPSamplerProxy sampler = new HTTPSamplerProxy();
        sampler.setName(name);
        sampler.addNonEncodedArgument("", SDP, "");
        return sampler;
    }
}
