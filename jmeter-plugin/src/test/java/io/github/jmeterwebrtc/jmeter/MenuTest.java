package io.github.jmeterwebrtc.jmeter;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.swing.JMenu;
import javax.swing.JMenuItem;
import org.apache.jmeter.gui.util.MenuFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class MenuTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void theSamplersAreInTheSamplerMenu() {
        assertEquals(sorted(
                "WebRTC Answer Call", "WebRTC Await Connected", "WebRTC Call", "WebRTC Call Control", "WebRTC Hang Up",
                "WebRTC Media Check", "WebRTC Preflight", "WebRTC Softphone Register", "WebRTC Softphone Unregister",
                "WebSocket Close (jmeter-webrtc)", "WebSocket Open Connection (jmeter-webrtc)",
                "WebSocket Ping/Pong (jmeter-webrtc)", "WebSocket Single Read Sampler (jmeter-webrtc)",
                "WebSocket Single Write Sampler (jmeter-webrtc)", "WebSocket Wait for Message",
                "WebSocket request-response Sampler (jmeter-webrtc)"), ours(MenuFactory.SAMPLERS));
    }

    @Test
    void theConfigurationElementsAreInTheirMenu() {
        assertEquals(sorted(
                "WebRTC Auto ICE", "WebRTC Defaults", "WebRTC Lab Server", "WebSocket Binary Frame Filter (jmeter-webrtc)",
                "WebSocket Ping/Pong Frame Filter (jmeter-webrtc)", "WebSocket Text Frame Filter (jmeter-webrtc)"),
                ours(MenuFactory.CONFIG_ELEMENTS));
    }

    @Test
    void thePostProcessorIsInItsMenu() {
        assertEquals(sorted("WebRTC Apply Remote SDP"), ours(MenuFactory.POST_PROCESSORS));
    }

    private static List<String> ours(String category) {
        JMenu menu = MenuFactory.makeMenu(category, "add");
        return sorted(Stream.of(menu.getMenuComponents())
                .filter(JMenuItem.class::isInstance)
                .map(item -> ((JMenuItem) item).getText())
                .filter(text -> text.startsWith("WebRTC") || text.startsWith("WebSocket"))
                .toArray(String[]::new));
    }

    private static List<String> sorted(String... labels) {
        return new TreeSet<>(Arrays.asList(labels)).stream().collect(Collectors.toList());
    }
}
