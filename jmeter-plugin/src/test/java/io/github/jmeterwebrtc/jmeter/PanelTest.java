package io.github.jmeterwebrtc.jmeter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;
import org.apache.jmeter.gui.AbstractJMeterGuiComponent;
import org.apache.jmeter.save.SaveService;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.BooleanProperty;
import org.apache.jmeter.testelement.property.IntegerProperty;
import org.apache.jmeter.testelement.property.JMeterProperty;
import org.apache.jmeter.testelement.property.PropertyIterator;
import org.apache.jmeter.testelement.property.StringProperty;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.ListedHashTree;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(60)
class PanelTest {
    /** Kinds of properties that plans of old versions have, or people write into their files. */
    private static final List<Function<String, JMeterProperty>> KINDS = Arrays.asList(
            name -> new IntegerProperty(name, 8443), name -> new StringProperty(name, "${of a variable}"),
            name -> new StringProperty(name, "two\nlines"));

    static Stream<AbstractJMeterGuiComponent> panels() {
        return Stream.concat(Panels.all(), Panels.dropIns());
    }

    static Stream<AbstractJMeterGuiComponent> dropIns() {
        return Panels.dropIns();
    }

    @ParameterizedTest
    @MethodSource("panels")
    void aPanelStoresWhatItWasShown(AbstractJMeterGuiComponent panel) {
        TestElement element = Panels.singleLine(Panels.unusual(panel), Panels.form(panel));
        panel.configure(element);
        TestElement other = panel.createTestElement();
        Panels.form(panel).properties().forEach(other::removeProperty);
        other.setComment(element.getComment());
        other.setName(element.getName());
        Panels.form(panel).modify(other);
        assertEquals(properties(element), properties(other));
        panel.modifyTestElement(element);
        assertEquals(properties(other), properties(element));
    }

    @ParameterizedTest
    @MethodSource("dropIns")
    void whatTheUserOfAnExistingPlanDoesNotChangeStaysAsItIs(AbstractJMeterGuiComponent panel) {
        for (Function<String, JMeterProperty> kind : KINDS) {
            TestElement element = ofKind(panel, kind);
            Map<String, String> before = properties(element);
            panel.configure(element);
            panel.modifyTestElement(element);
            assertEquals(before, properties(element));
        }
    }

    @ParameterizedTest
    @MethodSource("dropIns")
    void whatTheUserOfAnExistingPlanChangesIsWrittenInItsOwnKind(AbstractJMeterGuiComponent panel) {
        TestElement shown = Panels.singleLine(Panels.unusual(panel), Panels.form(panel));
        TestElement element = ofKind(panel, KINDS.get(1));
        panel.configure(shown);
        panel.modifyTestElement(element);
        for (String property : Panels.form(panel).properties()) {
            // A box that shows a variable is not ticked: there is no difference to one that is not ticked now.
            JMeterProperty want = shown.getProperty(property);
            boolean written = !(want instanceof BooleanProperty) || want.getBooleanValue();
            assertEquals(written ? want.getStringValue() : "${of a variable}", element.getPropertyAsString(property), property);
            assertEquals(written ? want.getClass() : StringProperty.class, element.getProperty(property).getClass(), property);
        }
    }

    private static TestElement ofKind(AbstractJMeterGuiComponent panel, Function<String, JMeterProperty> kind) {
        TestElement element = panel.createTestElement();
        Panels.form(panel).properties().forEach(property -> element.setProperty(kind.apply(property)));
        return element;
    }

    @ParameterizedTest
    @MethodSource("panels")
    void aPanelForgetsTheElementBefore(AbstractJMeterGuiComponent panel) {
        Map<String, String> initial = properties(panel.createTestElement());
        panel.configure(Panels.unusual(panel));
        panel.clearGui();
        assertEquals(initial, properties(panel.createTestElement()));
    }

    @ParameterizedTest
    @MethodSource("panels")
    void anElementSurvivesSavingAndLoadingAPlan(AbstractJMeterGuiComponent panel, @TempDir Path directory)
            throws Exception {
        TestElement element = Panels.unusual(panel);
        HashTree tree = new ListedHashTree();
        tree.add(element);
        File plan = directory.resolve("plan.jmx").toFile();
        try (OutputStream out = Files.newOutputStream(plan.toPath())) {
            SaveService.saveTree(tree, out);
        }
        TestElement loaded = (TestElement) SaveService.loadTree(plan).getArray()[0];
        assertEquals(element.getClass(), loaded.getClass());
        assertEquals(properties(element), properties(loaded));
    }

    @ParameterizedTest
    @MethodSource("panels")
    void anElementTravelsToARemoteWorker(AbstractJMeterGuiComponent panel) throws Exception {
        TestElement element = Panels.unusual(panel);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(element);
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            assertEquals(properties(element), properties((TestElement) in.readObject()));
        }
    }

    @ParameterizedTest
    @MethodSource("panels")
    void anElementWithoutPropertiesIsShownAsANewOne(AbstractJMeterGuiComponent panel) throws Exception {
        Map<String, String> initial = properties(panel.createTestElement());
        TestElement bare = panel.createTestElement().getClass().getDeclaredConstructor().newInstance();
        bare.setName(panel.createTestElement().getName());
        panel.configure(bare);
        panel.modifyTestElement(bare);
        assertEquals(initial, properties(bare));
    }

    @ParameterizedTest
    @MethodSource("panels")
    void aPanelHasALabelAndAHelpAnchor(AbstractJMeterGuiComponent panel) {
        assertTrue(panel.getStaticLabel().matches("(WebSocket|WebRTC|Binary Response) .*"), panel.getStaticLabel());
        assertFalse(panel.getDocAnchor().contains(" "));
        assertEquals(panel.getClass().getName(), panel.createTestElement().getPropertyAsString(TestElement.GUI_CLASS));
    }

    private static Map<String, String> properties(TestElement element) {
        Map<String, String> values = new TreeMap<>();
        PropertyIterator all = element.propertyIterator();
        while (all.hasNext()) {
            JMeterProperty property = all.next();
            values.put(property.getName(), property.getClass().getSimpleName() + " " + property.getStringValue());
        }
        return values;
    }
}
