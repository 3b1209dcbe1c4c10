package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.Panels;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.jmeter.gui.AbstractJMeterGuiComponent;
import org.apache.jmeter.gui.JMeterGUIComponent;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.JMeterProperty;
import org.apache.jmeter.testelement.property.PropertyIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(60)
class NameMappingTest {
    private static final Path MAPPING = Paths.get(
            "../jmeter-dropin/src/main/resources/META-INF/resources/org.apache.jmeter.nameupdater.properties");

    static Stream<AbstractJMeterGuiComponent> panels() {
        return Panels.dropIns();
    }

    @Test
    void everyOldNameLeadsToAnElementOrAPanelOfItsOwn() throws Exception {
        JMeterHome.use();
        Properties mapping = new Properties();
        try (InputStream in = Files.newInputStream(MAPPING)) {
            mapping.load(in);
        }
        assertEquals(22, mapping.size());
        assertEquals(22, mapping.values().stream().distinct().count());
        for (String old : mapping.stringPropertyNames()) {
            Object made = Class.forName(mapping.getProperty(old)).getDeclaredConstructor().newInstance();
            Class<?> kind = old.toUpperCase(java.util.Locale.ROOT).endsWith("GUI") ? JMeterGUIComponent.class : TestElement.class;
            assertTrue(kind.isInstance(made), old);
            assertEquals(old.substring(old.lastIndexOf('.') + 1), made.getClass().getSimpleName());
        }
    }

    @ParameterizedTest
    @MethodSource("panels")
    void lookingAtAnElementAddsNothingToIt(AbstractJMeterGuiComponent panel) {
        TestElement element = panel.createTestElement();
        for (String property : Panels.form(panel).properties()) {
            element.removeProperty(property);
        }
        element.setProperty("propertyOfAnotherVersion", "kept");
        Map<String, String> before = properties(element);
        panel.configure(element);
        panel.modifyTestElement(element);
        assertEquals(before, properties(element));
    }

    @ParameterizedTest
    @MethodSource("panels")
    void aPanelOfExistingPlansIsInNoMenu(AbstractJMeterGuiComponent panel) {
        assertEquals(null, panel.getMenuCategories());
    }

    private static Map<String, String> properties(TestElement element) {
        Map<String, String> values = new TreeMap<>();
        PropertyIterator all = element.propertyIterator();
        while (all.hasNext()) {
            JMeterProperty property = all.next();
            values.put(property.getName(), property.getStringValue());
        }
        return values;
    }
}
