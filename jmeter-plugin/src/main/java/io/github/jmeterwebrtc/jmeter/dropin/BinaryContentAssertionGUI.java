package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.assertion.BinaryResponseAssertion;
import io.github.jmeterwebrtc.jmeter.assertion.BinaryResponseAssertionGui;
import java.util.Collection;
import org.apache.jmeter.testelement.TestElement;

/** Panel of {@link BinaryContentAssertion}; not in the Add menu. */
public class BinaryContentAssertionGUI extends BinaryResponseAssertionGui {
    private static final long serialVersionUID = 1L;

    @Override
    public String getStaticLabel() {
        return "Binary Response Assertion";
    }

    @Override
    protected BinaryResponseAssertion newElement() {
        return new BinaryContentAssertion();
    }

    @Override
    public void modifyTestElement(TestElement element) {
        UnchangedProperties before = new UnchangedProperties(element, form());
        super.modifyTestElement(element);
        before.removeDefaults(element);
    }

    @Override
    public Collection<String> getMenuCategories() {
        return null;
    }
}
