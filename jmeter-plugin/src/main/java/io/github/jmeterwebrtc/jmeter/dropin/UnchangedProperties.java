package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import java.util.HashMap;
import java.util.Map;
import org.apache.jmeter.config.ConfigTestElement;
import org.apache.jmeter.testelement.TestElement;

/**
 * The properties that an existing element does not have: those that still have their default after a panel has written
 * its fields are taken off again. A new element keeps all.
 */
final class UnchangedProperties {
    private final Map<String, String> defaults = new HashMap<>();

    UnchangedProperties(TestElement element, ElementForm form) {
        if (element.getPropertyAsString(TestElement.GUI_CLASS).isEmpty()) {
            return;
        }
        TestElement shown = new ConfigTestElement();
        form.modify(shown);
        TestElement asLoaded = new ConfigTestElement();
        form.configure(element);
        form.modify(asLoaded);
        for (String property : form.properties()) {
            if (element.getPropertyAsString(property, null) == null) {
                defaults.put(property, asLoaded.getPropertyAsString(property));
            }
        }
        form.configure(shown);
    }

    void removeDefaults(TestElement element) {
        defaults.forEach((property, value) -> {
            if (value.equals(element.getPropertyAsString(property))) {
                element.removeProperty(property);
            }
        });
    }
}
