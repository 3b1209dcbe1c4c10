package io.github.jmeterwebrtc.jmeter.autoice;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;

/** Panel of {@link AutoIce}. */
public class AutoIceGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public AutoIceGui() {
        super("WebRTC Auto ICE",
                "Live calls behind the session descriptions that samplers in scope send, in requests of HTTP, gRPC, MQTT and other samplers"
                        + " too. Scripts are left alone: use ${__webrtcOffer()} there.",
                AutoIce::new,
                new ElementForm()
                        .section("What is done")
                        .choice(AutoIce.MODE, "Mode:", new String[] {"", "on", "report", "off"},
                                "report: the log says what would be replaced; empty = the JMeter property webrtc.auto_ice, or on")
                        .check(AutoIce.OVERLAY, "Keep the text of descriptions, replace only ICE, DTLS and SSRC lines", false,
                                "For servers that want their own lines back; otherwise the whole description is made anew")
                        .section("Dialogs and waits (empty = default)")
                        .text(AutoIce.DIALOG_FIELD, "Dialog field:", "",
                                "Name of the field that tells dialogs apart; empty = the known ones, such as Call-ID, sessionId")
                        .text(AutoIce.GATHER_WAIT, "Wait for candidates (ms):", "",
                                "Before an offer goes out, at most; empty = 500")
                        .text(AutoIce.ANSWER_WAIT, "Wait for the offer (ms):", "",
                                "Before an answer goes out whose offer was not read yet, at most; empty = 2000"));
    }
}
