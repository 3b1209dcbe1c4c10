package io.github.jmeterwebrtc.jmeter.assertion;

import io.github.jmeterwebrtc.jmeter.gui.ElementForm;
import java.awt.BorderLayout;
import java.util.stream.Stream;
import javax.swing.JPanel;
import org.apache.jmeter.assertions.gui.AbstractAssertionGui;
import org.apache.jmeter.testelement.TestElement;

/** Panel of {@link BinaryResponseAssertion}. */
public class BinaryResponseAssertionGui extends AbstractAssertionGui {
    private static final long serialVersionUID = 1L;

    private final ElementForm form = new ElementForm().section("The response")
            .choice(BinaryResponseAssertion.COMPARISON_TYPE, "Comparison:",
                    Stream.of(BinaryResponseAssertion.ComparisonType.values()).map(Enum::name).sorted().toArray(String[]::new),
                    "What has to hold", element -> BinaryResponseAssertion.ComparisonType.Contains.name())
            .text(BinaryResponseAssertion.COMPARE_VALUE, "Bytes (hexadecimal):", "", "0x01 0x02, or 0102");

    /** Builds the panel. */
    public BinaryResponseAssertionGui() {
        setLayout(new BorderLayout(0, 5));
        setBorder(makeBorder());
        JPanel head = new JPanel(new BorderLayout());
        head.add(makeTitlePanel(), BorderLayout.NORTH);
        head.add(createScopePanel(), BorderLayout.SOUTH);
        add(head, BorderLayout.NORTH);
        add(form, BorderLayout.CENTER);
        setName(getStaticLabel());
    }

    @Override
    public String getStaticLabel() {
        return "Binary Response Assertion (jmeter-webrtc)";
    }

    @Override
    public String getLabelResource() {
        return getClass().getName();
    }

    @Override
    public String getDocAnchor() {
        return getStaticLabel().replace(' ', '_');
    }

    /**
     * An element of this panel's kind, without properties.
     *
     * @return a new one
     */
    protected BinaryResponseAssertion newElement() {
        return new BinaryResponseAssertion();
    }

    @Override
    public TestElement createTestElement() {
        BinaryResponseAssertion element = newElement();
        modifyTestElement(element);
        return element;
    }

    // The successor of configureTestElement does not exist before JMeter 5.6.3.
    @SuppressWarnings("deprecation")
    @Override
    public void modifyTestElement(TestElement element) {
        configureTestElement(element);
        saveScopeSettings((BinaryResponseAssertion) element);
        form.modify(element);
    }

    @Override
    public void configure(TestElement element) {
        super.configure(element);
        showScopeSettings((BinaryResponseAssertion) element);
        form.configure(element);
    }

    @Override
    public void clearGui() {
        super.clearGui();
        setName(getStaticLabel());
        form.clear();
    }

    /**
     * The fields.
     *
     * @return the form
     */
    public ElementForm form() {
        return form;
    }
}
