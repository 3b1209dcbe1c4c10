package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;

/** Panel of {@link WaitForMessageSampler}. */
public class WaitForMessageSamplerGui extends FormSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public WaitForMessageSamplerGui() {
        super("WebSocket Wait for Message",
                "Waits for the first message that matches, queued or still to come; all others stay queued, in order.",
                WaitForMessageSampler::new,
                WebSocketForms.readTimeout(WebSocketForms.connectionName(new ElementForm().section("Connection")))
                        .section("Message")
                        .choice(WaitForMessageSampler.MATCH_TYPE, "Match type:",
                                new String[] {
                                    WaitForMessageSampler.TEXT, WaitForMessageSampler.REGEX, WaitForMessageSampler.JSON_PATH
                                },
                                "text: contained in the message. regex: found in it. jsonPath: selects something in it")
                        .text(WaitForMessageSampler.MATCH_VALUE, "Match value:", "",
                                "Text, regular expression, or JSONPath such as $.type; empty text = any message")
                        .text(WaitForMessageSampler.EXPECTED_VALUE, "Expected value (jsonPath):", "",
                                "What the JSONPath must select; empty = anything"));
    }
}
