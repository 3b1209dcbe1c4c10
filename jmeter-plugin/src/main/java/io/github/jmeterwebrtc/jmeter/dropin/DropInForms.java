package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.websocket.RequestSampler;
import io.github.jmeterwebrtc.jmeter.websocket.WebSocketSampler;
import org.apache.jmeter.testelement.TestElement;

/** The groups of fields of the samplers of existing plans. */
final class DropInForms {
    private DropInForms() {
    }

    static ElementForm connection() {
        return new ElementForm().section("Connection")
                .text(WebSocketSampler.CONNECTION_ID, "Connection id:", "",
                        "Name of the connection within its thread; may be empty");
    }

    static ElementForm newOrExisting(boolean createNew) {
        return server(connection().check(WebSocketSampler.CREATE_NEW_CONNECTION, "Set up a new connection", createNew,
                "Otherwise the connection that the thread has open is used"));
    }

    static ElementForm server(ElementForm form) {
        return form.section("Server")
                .check(WebSocketSampler.TLS, "TLS (wss)", false, "wss instead of ws")
                .text(WebSocketSampler.SERVER, "Server name or IP:", "", "Host name or IP address, without scheme")
                .text(WebSocketSampler.PORT, "Port:", "80", "1 to 65535")
                .text(WebSocketSampler.PATH, "Path:", "", "With query")
                .text(WebSocketSampler.CONNECT_TIMEOUT, "Connection timeout (ms):", "20000", "1 to 999999");
    }

    static ElementForm readTimeout(ElementForm form) {
        return form.section("Waiting")
                .text(WebSocketSampler.READ_TIMEOUT, "Response (read) timeout (ms):", "6000",
                        "0 to 9999999; 0 = no timeout");
    }

    /** What plans without {@code payloadType} or {@code dataType} mean. */
    static String typeOfOldPlans(TestElement element) {
        return element.getPropertyAsBoolean(RequestSampler.BINARY_PAYLOAD) ? "Binary" : "Text";
    }

    static ElementForm data(ElementForm form) {
        return form.section("Data")
                .choice(RequestSampler.PAYLOAD_TYPE, "Type:", new String[] {"Text", "Binary", "TextStomp"},
                        "Binary: request data are hexadecimal. TextStomp: ^@ is sent as NUL", DropInForms::typeOfOldPlans)
                .area(RequestSampler.REQUEST_DATA, "Request data:", "", "Text, or 0x01 0x02 / 0102 for Binary")
                .check(RequestSampler.LOAD_DATA_FROM_FILE, "Load request data from file", false,
                        "As it is: no variable is replaced")
                .text(RequestSampler.DATA_FILE, "Data file:", "", "Relative to JMeter's working directory");
    }
}
