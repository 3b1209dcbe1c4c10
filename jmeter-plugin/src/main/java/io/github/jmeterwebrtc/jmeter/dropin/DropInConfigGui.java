package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import io.github.jmeterwebrtc.jmeter.gui.FormConfigGui;
import java.util.Collection;
import java.util.function.Supplier;
import org.apache.jmeter.testelement.TestElement;

/**
 * The panel of a configuration element of existing plans: not in the Add menu, and writing what it shows adds nothing to an element
 * that the element did not have.
 */
abstract class DropInConfigGui extends FormConfigGui {
    private static final long serialVersionUID = 1L;

    DropInConfigGui(String label, String about, Supplier<TestElement> newElement, ElementForm form) {
        super(label, about, newElement, form);
    }

    // The successor of configureTestElement does not exist before JMeter 5.6.3.
    @SuppressWarnings("deprecation")
    @Override
    public void modifyTestElement(TestElement element) {
        UnchangedProperties before = new UnchangedProperties(element, form());
        configureTestElement(element);
        form().modify(element);
        before.removeDefaults(element);
    }

    @Override
    public Collection<String> getMenuCategories() {
        return null;
    }
}
