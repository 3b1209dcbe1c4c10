package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import javax.swing.JTabbedPane;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.util.JMeterUtils;
import org.apache.jmeter.visualizers.ResultRenderer;
import org.apache.jorphan.reflect.LogAndIgnoreServiceLoadExceptionHandler;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.slf4j.LoggerFactory;

@Timeout(60)
class RenderAsBinaryTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void forgetSettings() {
        JMeterUtils.getJMeterProperties().remove(RenderAsBinary.MOST_SHOWN);
    }

    @Test
    void bytesAreShownInHexadecimalAndAsText() {
        byte[] data = "WebSocket frames\0\u00e9~".getBytes(StandardCharsets.UTF_8);
        assertEquals("00000000  57 65 62 53 6f 63 6b 65 74 20 66 72 61 6d 65 73  WebSocket frames\n"
                + "00000010  00 c3 a9 7e                                      ...~\n", RenderAsBinary.dump(data, 64));
        assertEquals("", RenderAsBinary.dump(new byte[0], 64));
    }

    @Test
    void largeDataAreCutAndTheRestIsCounted() {
        assertEquals(5, lines(new byte[100]), "four lines, and one about the rest");
        assertTrue(RenderAsBinary.dump(new byte[2000], 64).contains("the first 64 of 2,000 bytes"));
    }

    @Test
    void thePropertySaysHowMuchIsShownAndNeverLessThanALittle() {
        assertEquals(100, shownBytes(100));
        JMeterUtils.setProperty(RenderAsBinary.MOST_SHOWN, "80");
        assertEquals(80, shownBytes(100));
        JMeterUtils.setProperty(RenderAsBinary.MOST_SHOWN, "1");
        assertEquals(64, shownBytes(100));
        JMeterUtils.setProperty(RenderAsBinary.MOST_SHOWN, "much");
        assertEquals(100, shownBytes(100));
        JMeterUtils.getJMeterProperties().remove(RenderAsBinary.MOST_SHOWN);
        assertEquals(1 << 20, shownBytes((1 << 20) + 1));
    }

    @Test
    void viewResultsTreeShowsDataOfEveryKindWithIt() {
        RenderAsBinary renderer = renderer();
        SampleResult result = new SampleResult();
        result.setResponseData(new byte[] {-54, -2});
        renderer.setSamplerResult(result);
        renderer.setupTabPane();
        renderer.renderImage(result);
        assertTrue(renderer.shown().startsWith("00000000  ca fe "), renderer.shown());
        result.setResponseData("text", "UTF-8");
        renderer.renderResult(result);
        assertTrue(renderer.shown().startsWith("00000000  74 65 78 74 "), renderer.shown());
        renderer.clearData();
        assertEquals("", renderer.shown());
    }

    @Test
    void jmeterFindsItUnderTheNameThatUsersKnow() {
        List<String> names = new ArrayList<>();
        for (ResultRenderer renderer : JMeterUtils.loadServicesAndScanJars(ResultRenderer.class,
                ServiceLoader.load(ResultRenderer.class), Thread.currentThread().getContextClassLoader(),
                new LogAndIgnoreServiceLoadExceptionHandler(LoggerFactory.getLogger(getClass())))) {
            if (renderer instanceof RenderAsBinary) {
                names.add(renderer.toString());
            }
        }
        assertEquals("[Binary]", names.toString());
    }

    private static long lines(byte[] data) {
        return RenderAsBinary.dump(data, 64).chars().filter(c -> c == '\n').count();
    }

    private static int shownBytes(int size) {
        RenderAsBinary renderer = renderer();
        SampleResult result = new SampleResult();
        result.setResponseData(new byte[size]);
        renderer.setSamplerResult(result);
        renderer.setupTabPane();
        renderer.renderResult(result);
        return renderer.shown().split(" 00", -1).length - 1;
    }

    private static RenderAsBinary renderer() {
        RenderAsBinary renderer = new RenderAsBinary();
        renderer.setRightSide(new JTabbedPane());
        renderer.init();
        return renderer;
    }
}
