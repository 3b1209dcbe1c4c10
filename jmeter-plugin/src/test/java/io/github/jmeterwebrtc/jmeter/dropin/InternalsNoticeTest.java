package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.control.LoopController;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.threads.AbstractThreadGroup;
import org.apache.jmeter.threads.JMeterContext;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterThread;
import org.apache.jmeter.threads.ListenerNotifier;
import org.apache.jmeter.threads.ThreadGroup;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.ListedHashTree;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(20)
class InternalsNoticeTest {
    private static final String ELEMENT = "WebSocket (Open Connection|Single Write Sampler|Single Read Sampler|Wait for Message"
            + "|Ping/Pong|Close)\\b";

    private final InternalsNotice notice = new InternalsNotice();

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void leaveTheThread() {
        JMeterContextService.getContext().clear();
    }

    @Test
    void aScriptIsToldWhatReplacesTheInternalsItReachesFor() {
        String script = "def f = eu.luminis.jmeter.wssampler.WebsocketSampler.getDeclaredField('threadLocalCachedConnection')\n"
                + "f.get(null).get().sendBinaryFrame(bytes); client.receiveText(100).getText()";
        String sentence = InternalsNotice.sentence("send audio", script);
        assertTrue(sentence.startsWith("'send audio' reaches into eu.luminis.jmeter.wssampler.WebsocketSampler"), sentence);
        assertTrue(sentence.contains("WebSocket Single Write Sampler with type Binary"), sentence);
        assertTrue(sentence.contains("WebSocket Single Read Sampler"), sentence);
        assertFalse(sentence.contains("WebSocket Close"), sentence);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "sendBinaryFrame", "sendTextFrame", "sendPingFrame", "receiveText", "sendClose", "isConnected",
        "threadLocalCachedConnection"})
    void everySentenceNamesAnElement(String word) {
        String sentence = InternalsNotice.sentence("script", "eu.luminis.websocket.WebSocketClient " + word);
        assertTrue(sentence.matches("(?s).*" + ELEMENT + ".*"), sentence);
    }

    @Test
    void everyGroupIsLookedAtOnceWhateverItsName() {
        ThreadGroup one = group();
        ThreadGroup other = group();
        assertEquals(1, found(one, script("first")).size());
        assertEquals(0, found(one, script("second thread")).size());
        assertEquals(1, found(other, script("third")).size());
    }

    @Test
    void whatIsInTheScopeOfSeveralGroupsIsToldOnce() {
        assertEquals(1, found(group(), script("of the plan")).size());
        assertEquals(0, found(group(), script("of the plan")).size());
    }

    @Test
    void theGroupsOfAParallelControllerAreNotLookedAt() {
        assertEquals(0, found(new ThreadGroup(), script("child")).size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"filename", "BeanShellSampler.filename"})
    void aScriptInAFileIsRead(String property, @TempDir Path directory) throws Exception {
        Path file = directory.resolve("send audio.groovy");
        Files.write(file, "eu.luminis.websocket.WebSocketClient c; c.sendBinaryFrame(b)".getBytes(StandardCharsets.UTF_8));
        TestElement element = named("send");
        element.setProperty(property, file.toString());
        List<String> found = found(group(), element);
        assertEquals(1, found.size());
        assertTrue(found.get(0).startsWith("'send' reaches into eu.luminis.websocket.WebSocketClient"), found.get(0));
    }

    @Test
    void filesThatAreAbsentLargeOrUnknownAreLeftAlone(@TempDir Path directory) throws Exception {
        Path large = directory.resolve("large.groovy");
        byte[] bytes = new byte[(1 << 20) + 1];
        System.arraycopy("eu.luminis.".getBytes(StandardCharsets.US_ASCII), 0, bytes, 0, 11);
        Files.write(large, bytes);
        for (String name : new String[] {large.toString(), directory.toString(), "/nope", "${file}", "", "\0"}) {
            TestElement element = named("send");
            element.setProperty("filename", name);
            assertEquals(0, found(group(), element).size(), name);
        }
    }

    private List<String> found(AbstractThreadGroup group, TestElement element) {
        HashTree tree = new ListedHashTree();
        tree.add(new LoopController()).add(element);
        JMeterContext context = JMeterContextService.getContext();
        context.setThread(new JMeterThread(tree, null, new ListenerNotifier()));
        context.setThreadGroup(group);
        return notice.found(context);
    }

    private static ThreadGroup group() {
        ThreadGroup group = new ThreadGroup();
        group.setName("Thread Group");
        group.setSamplerController(new LoopController());
        return group;
    }

    private static TestElement script(String name) {
        TestElement element = named(name);
        element.setProperty("script", "eu.luminis.websocket.WebSocketClient client");
        return element;
    }

    private static TestElement named(String name) {
        TestElement element = new ConfigTestElement();
        element.setName(name);
        return element;
    }
}
