package io.github.jmeterwebrtc.jmeter.gui;

import java.awt.BorderLayout;
import java.util.function.Supplier;
import org.apache.jmeter.processor.gui.AbstractPostProcessorGui;
import org.apache.jmeter.testelement.TestElement;

/**
 * The panel of a post-processor: title, one sentence about it, an {@link ElementForm}.
 *
 * <p>The panel never touches the engine: plans can be opened, edited and saved where the native library cannot be loaded.
 */
public abstract class FormPostProcessorGui extends AbstractPostProcessorGui {
    private static final long serialVersionUID = 1L;

    private final String label;
    private final transient Supplier<TestElement> newElement;
    private final ElementForm form;

    /**
     * Builds the panel.
     *
     * @param label menu label
     * @param about one sentence
     * @param newElement makes an empty element
     * @param form its fields
     */
    protected FormPostProcessorGui(String label, String about, Supplier<TestElement> newElement, ElementForm form) {
        this.label = label;
        this.newElement = newElement;
        this.form = form;
        setLayout(new BorderLayout(0, 5));
        setBorder(makeBorder());
        add(FormHead.of(makeTitlePanel(), about), BorderLayout.NORTH);
        add(form, BorderLayout.CENTER);
        setName(getStaticLabel());
    }

    @Override
    public String getStaticLabel() {
        // JMeter's constructors ask before ours has run.
        return label == null ? "" : label;
    }

    @Override
    public String getLabelResource() {
        return getClass().getName();
    }

    @Override
    public String getDocAnchor() {
        return getStaticLabel().replace(' ', '_');
    }

    @Override
    public TestElement createTestElement() {
        TestElement element = newElement.get();
        modifyTestElement(element);
        return element;
    }

    // The successor of configureTestElement does not exist before JMeter 5.6.3.
    @SuppressWarnings("deprecation")
    @Override
    public void modifyTestElement(TestElement element) {
        element.clear();
        super.configureTestElement(element);
        form.modify(element);
    }

    @Override
    public void configure(TestElement element) {
        super.configure(element);
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
