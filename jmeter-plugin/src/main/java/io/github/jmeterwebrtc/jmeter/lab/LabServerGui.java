package io.github.jmeterwebrtc.jmeter.lab;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;

/** Panel of {@link LabServer}. */
public class LabServerGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public LabServerGui() {
        super("WebRTC Lab Server",
                "A counterpart inside JMeter for small plans: signaling, answering peers and STUN on loopback, from start to end of the test.",
                LabServer::new,
                new ElementForm()
                        .section("Listens on")
                        .text(LabServer.ADDRESS, "Address:", "127.0.0.1", "Loopback only")
                        .text(LabServer.PORT, "Signaling port:", "0", "0 = any free port")
                        .text(LabServer.STUN_PORT, "STUN port:", "0", "0 = any free port")
                        .section("Behaviour")
                        .text(LabServer.IDLE_CUT, "Cut silent WebSockets after (ms):", "0", "0 = never")
                        .area(LabServer.FAULTS, "Faults (JSON):", "",
                                "Of the signaling server, such as {\"upgradesPerSecond\":10,\"retryAfterS\":1}; empty = none")
                        .section("Softphones of a profile")
                        .choice(LabServer.KIND, "Counterpart:", new String[] {"", "genesys"},
                                "Server of softphones that is played too, by its profile; empty = none")
                        .area(LabServer.SETTINGS, "Its settings (JSON):", "",
                                "Such as {\"callEveryMs\":5000,\"faults\":{\"tooManyRequests\":2}}; empty = its defaults")
                        .section("Variables")
                        .text(LabServer.VARIABLE_PREFIX, "Variable prefix:", "webrtc_lab",
                                "Makes ${webrtc_labUrl}, ${webrtc_labHost}, ${webrtc_labPort}, ${webrtc_labStun}; and such as ${webrtc_labGenesysApi}"));
    }
}
