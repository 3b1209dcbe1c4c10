package io.github.jmeterwebrtc.jmeter;

import io.github.jmeterwebrtc.jmeter.assertion.BinaryResponseAssertionGui;
import io.github.jmeterwebrtc.jmeter.autoice.ApplyRemoteSdpGui;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIceGui;
import io.github.jmeterwebrtc.jmeter.dropin.AdvancedOptionsGUI;
import io.github.jmeterwebrtc.jmeter.dropin.BinaryContentAssertionGUI;
import io.github.jmeterwebrtc.jmeter.dropin.CloseWebSocketSamplerGui;
import io.github.jmeterwebrtc.jmeter.dropin.OpenWebSocketSamplerGui;
import io.github.jmeterwebrtc.jmeter.dropin.RequestResponseWebSocketSamplerGui;
import io.github.jmeterwebrtc.jmeter.dropin.SingleReadWebSocketSamplerGui;
import io.github.jmeterwebrtc.jmeter.dropin.SingleWriteWebSocketSamplerGui;
import io.github.jmeterwebrtc.jmeter.call.AnswerCallSamplerGui;
import io.github.jmeterwebrtc.jmeter.call.AwaitConnectedSamplerGui;
import io.github.jmeterwebrtc.jmeter.call.CallControlSamplerGui;
import io.github.jmeterwebrtc.jmeter.call.CallSamplerGui;
import io.github.jmeterwebrtc.jmeter.call.HangUpSamplerGui;
import io.github.jmeterwebrtc.jmeter.call.MediaCheckSamplerGui;
import io.github.jmeterwebrtc.jmeter.config.WebRtcDefaultsGui;
import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;
import io.github.jmeterwebrtc.jmeter.gui.FormPostProcessorGui;
import io.github.jmeterwebrtc.jmeter.gui.FormSamplerGui;
import io.github.jmeterwebrtc.jmeter.lab.LabServerGui;
import io.github.jmeterwebrtc.jmeter.preflight.PreflightSamplerGui;
import io.github.jmeterwebrtc.jmeter.softphone.RegisterSamplerGui;
import io.github.jmeterwebrtc.jmeter.softphone.UnregisterSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.CloseSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.OpenConnectionSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.PingPongSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.RequestResponseSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.SingleReadSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.SingleWriteSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.WaitForMessageSamplerGui;
import io.github.jmeterwebrtc.jmeter.websocket.filter.BinaryFrameFilterGui;
import io.github.jmeterwebrtc.jmeter.websocket.filter.PingFrameFilterGui;
import io.github.jmeterwebrtc.jmeter.websocket.filter.TextFrameFilterGui;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.jmeter.gui.AbstractJMeterGuiComponent;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.BooleanProperty;
import org.apache.jmeter.testelement.property.JMeterProperty;

/** All panels of the plugin, for tests that hold for each of them. */
public final class Panels {
    private Panels() {
    }

    /** Makes one of each. */
    public static Stream<AbstractJMeterGuiComponent> all() {
        JMeterHome.use();
        return Stream.<Supplier<AbstractJMeterGuiComponent>>of(
                OpenConnectionSamplerGui::new, RequestResponseSamplerGui::new, SingleReadSamplerGui::new,
                SingleWriteSamplerGui::new, PingPongSamplerGui::new, CloseSamplerGui::new, WaitForMessageSamplerGui::new,
                CallSamplerGui::new, AwaitConnectedSamplerGui::new, MediaCheckSamplerGui::new, HangUpSamplerGui::new,
                RegisterSamplerGui::new, UnregisterSamplerGui::new, AnswerCallSamplerGui::new, CallControlSamplerGui::new,
                PreflightSamplerGui::new,
                WebRtcDefaultsGui::new, AutoIceGui::new, ApplyRemoteSdpGui::new, LabServerGui::new, PingFrameFilterGui::new, TextFrameFilterGui::new,
                BinaryFrameFilterGui::new, BinaryResponseAssertionGui::new).map(Supplier::get);
    }

    /** One of each panel of existing plans. */
    public static Stream<AbstractJMeterGuiComponent> dropIns() {
        JMeterHome.use();
        return Stream.<Supplier<AbstractJMeterGuiComponent>>of(
                OpenWebSocketSamplerGui::new, RequestResponseWebSocketSamplerGui::new, SingleReadWebSocketSamplerGui::new,
                SingleWriteWebSocketSamplerGui::new, io.github.jmeterwebrtc.jmeter.dropin.PingPongSamplerGui::new,
                CloseWebSocketSamplerGui::new, io.github.jmeterwebrtc.jmeter.dropin.PingFrameFilterGui::new,
                io.github.jmeterwebrtc.jmeter.dropin.TextFrameFilterGui::new,
                io.github.jmeterwebrtc.jmeter.dropin.BinaryFrameFilterGui::new, AdvancedOptionsGUI::new,
                BinaryContentAssertionGUI::new).map(Supplier::get);
    }

    /** The form of a panel. */
    public static ElementForm form(AbstractJMeterGuiComponent panel) {
        if (panel instanceof BinaryResponseAssertionGui) {
            return ((BinaryResponseAssertionGui) panel).form();
        }
        if (panel instanceof FormPostProcessorGui) {
            return ((FormPostProcessorGui) panel).form();
        }
        return panel instanceof FormSamplerGui ? ((FormSamplerGui) panel).form() : ((FormConfigGui) panel).form();
    }

    /** An element of the panel with a value in every property that no new element has. */
    public static TestElement unusual(AbstractJMeterGuiComponent panel) {
        TestElement element = panel.createTestElement();
        element.setName("unusual name");
        element.setComment("unusual comment");
        for (String property : form(panel).properties()) {
            JMeterProperty initial = element.getProperty(property);
            if (initial instanceof BooleanProperty) {
                element.setProperty(property, !initial.getBooleanValue());
            } else {
                element.setProperty(property, "${__P(unusual)} of " + property + "\n<&>\"ü");
            }
        }
        return element;
    }

    /** A copy of an element that holds newlines only where the panel's field can. */
    public static TestElement singleLine(TestElement element, ElementForm form) {
        for (String property : form.properties()) {
            JMeterProperty value = element.getProperty(property);
            if (!(value instanceof BooleanProperty)) {
                element.setProperty(property, value.getStringValue().replace('\n', ' '));
            }
        }
        return element;
    }
}
