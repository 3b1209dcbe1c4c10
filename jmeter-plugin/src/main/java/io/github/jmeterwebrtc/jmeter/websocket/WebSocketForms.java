package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import org.apache.jmeter.testelement.TestElement;

/** The groups of fields that WebSocket panels share. */
final class WebSocketForms {
    private WebSocketForms() {
    }

    static ElementForm connectionName(ElementForm form) {
        return form.text(WebSocketSampler.CONNECTION_ID, "Connection id:", "",
                "Name of the connection within its thread or test; may be empty");
    }

    static ElementForm newOrExisting(ElementForm form, boolean createNew) {
        return server(connectionName(form.section("Connection"))
                .check(WebSocketSampler.CREATE_NEW_CONNECTION, "Open a new connection (server below)", createNew,
                        "Otherwise the connection of that id, which the thread or the test has open, is used"));
    }

    static ElementForm server(ElementForm form) {
        return form.section("Server")
                .check(WebSocketSampler.TLS, "TLS (wss)", false, "wss instead of ws")
                .check(WebSocketSampler.VERIFY_CERTIFICATE, "Verify the server's certificate", true,
                        "Against javax.net.ssl.trustStore if JMeter is started with it, the system's certificates otherwise")
                .text(WebSocketSampler.SERVER, "Server name or IP:", "", "Host name or IP address")
                .text(WebSocketSampler.PORT, "Port:", "80", "1 to 65535")
                .text(WebSocketSampler.PATH, "Path:", "", "With query")
                .text(WebSocketSampler.CONNECT_TIMEOUT, "Connect timeout (ms):", "20000", "Of TCP; 1 to 999999");
    }

    static ElementForm readTimeout(ElementForm form) {
        return form.section("Waiting")
                .text(WebSocketSampler.READ_TIMEOUT, "Read timeout (ms):", "6000", "0 to 9999999; 0 = no timeout");
    }

    static ElementForm keepAlive(ElementForm form) {
        return readTimeout(form)
                .section("Keep-alive")
                .text(WebSocketSampler.PING_INTERVAL, "Ping interval (s):", "",
                        "With ±20 % jitter, also while no sampler runs; empty = no pings")
                .text(WebSocketSampler.PING_TEXT, "Ping text:", "",
                        "Text message to send instead of a ping frame; empty = ping frame");
    }

    /** What plans without {@code payloadType} or {@code dataType} mean. */
    static String typeOfOldPlans(TestElement element) {
        return element.getPropertyAsBoolean(RequestSampler.BINARY_PAYLOAD) ? "Binary" : "Text";
    }

    static ElementForm request(ElementForm form) {
        return form.section("Data")
                .choice(RequestSampler.PAYLOAD_TYPE, "Type:", new String[] {"Text", "Binary", "TextStomp"},
                        "Binary: request data are hexadecimal. TextStomp: ^@ is sent as NUL",
                        WebSocketForms::typeOfOldPlans)
                .area(RequestSampler.REQUEST_DATA, "Request data:", "", "Text, or 0x01 0x02 / 0102 for Binary")
                .check(RequestSampler.LOAD_DATA_FROM_FILE, "Load request data from file", false,
                        "As it is: no variable is replaced")
                .text(RequestSampler.DATA_FILE, "Data file:", "", "Relative to JMeter's working directory");
    }
}
