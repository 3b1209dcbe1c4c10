package io.github.jmeterwebrtc.jmeter.gui;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import javax.swing.BorderFactory;
import javax.swing.JCheckBox;
import javax.swing.JComboBox;
import javax.swing.JComponent;
import javax.swing.JLabel;
import javax.swing.JPanel;
import javax.swing.JScrollPane;
import javax.swing.JTextArea;
import javax.swing.JTextField;
import net.miginfocom.swing.MigLayout;
import org.apache.jmeter.testelement.TestElement;

/**
 * The fields of an element: each is bound to one property, so that loading, storing and resetting are said once.
 *
 * <p>Texts and choices are stringProp, check boxes are boolProp. A choice can be typed into as well, because any field may
 * hold {@code ${…}}. A property that the user has not changed stays as it is, also where its kind is another, as in plans of old
 * versions, or the field cannot show all of it. Knows no element and no engine.
 */
public final class ElementForm extends JPanel {
    private static final long serialVersionUID = 1L;
    private static final int AREA_ROWS = 6;

    private final transient List<Field> fields = new ArrayList<>();
    private JPanel section = this;

    /** An empty form. */
    public ElementForm() {
        super(new MigLayout("fillx, wrap 1, insets 0", "[fill,grow]"));
    }

    /**
     * Begins a titled group; fields that follow are in it.
     *
     * @param title its title
     * @return this
     */
    public ElementForm section(String title) {
        section = new JPanel(new MigLayout("fillx, wrap 2", "[160lp:n][fill,grow]"));
        section.setBorder(BorderFactory.createTitledBorder(title));
        add(section, "growx");
        return this;
    }

    /**
     * A line of text.
     *
     * @param property property name
     * @param label label
     * @param initial text of a new element
     * @param tip tool tip: meaning, unit, default
     * @return this
     */
    public ElementForm text(String property, String label, String initial, String tip) {
        JTextField field = new JTextField(initial);
        row(property, label, field, field, tip, "");
        fields.add(new Field(property) {
            @Override
            String shownFor(TestElement element) {
                return oneLine(element.getPropertyAsString(property, initial));
            }

            @Override
            void show(String value) {
                field.setText(value);
            }

            @Override
            String shown() {
                return field.getText();
            }

            @Override
            void reset() {
                field.setText(initial);
            }
        });
        return this;
    }

    /**
     * Several lines of text.
     *
     * @param property property name
     * @param label label
     * @param initial text of a new element
     * @param tip tool tip: meaning, unit, default
     * @return this
     */
    public ElementForm area(String property, String label, String initial, String tip) {
        JTextArea area = new JTextArea(initial, AREA_ROWS, 1);
        area.setLineWrap(true);
        row(property, label, new JScrollPane(area), area, tip, ", hmin 80");
        fields.add(new Field(property) {
            @Override
            String shownFor(TestElement element) {
                return element.getPropertyAsString(property, initial);
            }

            @Override
            void show(String value) {
                area.setText(value);
                area.setCaretPosition(0);
            }

            @Override
            String shown() {
                return area.getText();
            }

            @Override
            void reset() {
                area.setText(initial);
            }
        });
        return this;
    }

    /**
     * A check box.
     *
     * @param property property name
     * @param label text beside it
     * @param initial state of a new element, and of one without the property
     * @param tip tool tip
     * @return this
     */
    public ElementForm check(String property, String label, boolean initial, String tip) {
        JCheckBox box = new JCheckBox(label, initial);
        box.setName(property);
        box.setToolTipText(tip);
        section.add(box, "span 2");
        fields.add(new Field(property) {
            @Override
            String shownFor(TestElement element) {
                return String.valueOf(element.getPropertyAsBoolean(property, initial));
            }

            @Override
            void show(String value) {
                box.setSelected(Boolean.parseBoolean(value));
            }

            @Override
            String shown() {
                return String.valueOf(box.isSelected());
            }

            @Override
            void write(TestElement element) {
                element.setProperty(property, box.isSelected());
            }

            @Override
            void reset() {
                box.setSelected(initial);
            }
        });
        return this;
    }

    /**
     * One of several values, or an expression that gives one.
     *
     * @param property property name
     * @param label label
     * @param values the values; the first is also that of an element without the property
     * @param tip tool tip
     * @return this
     */
    public ElementForm choice(String property, String label, String[] values, String tip) {
        return choice(property, label, values, tip, element -> values[0]);
    }

    /**
     * One of several values, or an expression that gives one.
     *
     * @param property property name
     * @param label label
     * @param values the values; the first is that of a new element
     * @param tip tool tip
     * @param absent the value of an element without the property
     * @return this
     */
    public ElementForm choice(
            String property, String label, String[] values, String tip, Function<TestElement, String> absent) {
        JComboBox<String> combo = new JComboBox<>(values);
        combo.setEditable(true);
        row(property, label, combo, combo, tip, "");
        fields.add(new Field(property) {
            @Override
            String shownFor(TestElement element) {
                return oneLine(element.getPropertyAsString(property, absent.apply(element)));
            }

            @Override
            void show(String value) {
                combo.setSelectedItem(value);
            }

            @Override
            String shown() {
                return String.valueOf(combo.getEditor().getItem());
            }

            @Override
            void reset() {
                combo.setSelectedItem(values[0]);
            }
        });
        return this;
    }

    /**
     * Shows an element.
     *
     * @param element every field takes its property from it
     */
    public void configure(TestElement element) {
        fields.forEach(field -> field.load(element));
    }

    /**
     * Writes the fields into an element.
     *
     * @param element gets every property that it does not have, or has otherwise than its field shows it
     */
    public void modify(TestElement element) {
        fields.forEach(field -> field.store(element));
    }

    /** Makes all fields those of a new element. */
    public void clear() {
        fields.forEach(Field::reset);
    }

    /**
     * The properties this form edits.
     *
     * @return names in the order of the fields
     */
    public List<String> properties() {
        List<String> names = new ArrayList<>();
        fields.forEach(field -> names.add(field.property));
        return names;
    }

    private void row(String property, String label, JComponent shown, JComponent edited, String tip, String constraints) {
        JLabel text = new JLabel(label);
        text.setLabelFor(edited);
        text.setToolTipText(tip);
        edited.setName(property);
        edited.setToolTipText(tip);
        section.add(text);
        section.add(shown, "growx" + constraints);
    }

    /** As a field of one line shows a text. */
    private static String oneLine(String text) {
        return text.replace('\n', ' ');
    }

    /** One field and its property. */
    private abstract static class Field {
        private final String property;

        Field(String property) {
            this.property = property;
        }

        /** What it shows for an element. */
        abstract String shownFor(TestElement element);

        abstract void show(String value);

        /** What it shows now. */
        abstract String shown();

        abstract void reset();

        void write(TestElement element) {
            element.setProperty(property, shown());
        }

        final void load(TestElement element) {
            show(shownFor(element));
        }

        final void store(TestElement element) {
            if (element.getPropertyAsString(property, null) == null || !shown().equals(shownFor(element))) {
                write(element);
            }
        }
    }
}
