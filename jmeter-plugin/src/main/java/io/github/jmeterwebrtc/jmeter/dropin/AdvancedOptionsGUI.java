package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;

/** Panel of {@link AdvancedOptionsElement}. */
public class AdvancedOptionsGUI extends DropInConfigGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public AdvancedOptionsGUI() {
        super("WebSocket Advanced Options",
                "Connections are always told apart by their connection id, whatever is chosen here.",
                AdvancedOptionsElement::new,
                new ElementForm().section("Connections")
                        .check(AdvancedOptionsElement.MULTIPLE_CONNECTIONS, "Several connections per thread", false,
                                "Kept for plans that have it"));
    }
}
