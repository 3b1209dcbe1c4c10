import com.fasterxml.jackson.databind.ObjectMapper;
import java.awt.Component;
import java.awt.Container;
import java.awt.EventQueue;
import java.awt.GraphicsEnvironment;
import java.awt.event.ActionEvent;
import java.io.File;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.swing.JCheckBox;
import javax.swing.JComboBox;
import javax.swing.text.JTextComponent;
import javax.swing.tree.TreePath;
import org.apache.jmeter.JMeter;
import org.apache.jmeter.gui.GuiPackage;
import org.apache.jmeter.gui.JMeterGUIComponent;
import org.apache.jmeter.gui.action.ActionNames;
import org.apache.jmeter.gui.action.ActionRouter;
import org.apache.jmeter.gui.tree.JMeterTreeListener;
import org.apache.jmeter.gui.tree.JMeterTreeModel;
import org.apache.jmeter.gui.tree.JMeterTreeNode;
import org.apache.jmeter.save.SaveService;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.util.JMeterUtils;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.ListedHashTree;

/**
 * Opens a plan as JMeter's GUI does, shows every element in its panel, and saves the plan.
 *
 * <p>With a screen, that is JMeter itself: it is started with the plan, every node of the tree is selected, and the menu's Save
 * is done. Without one, JMeter's model of the tree and its panels are used in the same way, but without a window.
 *
 * <p>{@code java -cp "HOME/bin/*:HOME/lib/*:HOME/lib/ext/*" PlanPanels.java HOME PLAN LOG}: the plan is saved over itself.
 * Prints a JSON list of what each panel shows: {@code class}, {@code panel}, {@code label}, {@code name}, {@code comment},
 * {@code onScreen} and {@code fields} by property.
 */
public final class PlanPanels {
    private static final long START_MS = 180_000;
    private static final String MARK = "PANELS ";

    private PlanPanels() {
    }

    public static void main(String[] arguments) throws Exception {
        File plan = new File(arguments[1]);
        boolean screen = !GraphicsEnvironment.isHeadless();
        if (screen) {
            startJMeter(arguments[0], plan, arguments[2]);
        } else {
            loadWithoutWindow(arguments[0], plan);
        }
        List<Map<String, Object>> shown = new ArrayList<>();
        EventQueue.invokeAndWait(() -> {
            for (JMeterTreeNode node : GuiPackage.getInstance().getTreeModel().getNodesOfType(TestElement.class)) {
                shown.add(show(node, screen));
            }
            save(plan, screen);
        });
        System.out.println(MARK + new ObjectMapper().writeValueAsString(shown));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void startJMeter(String home, File plan, String log) throws Exception {
        new JMeter().start(new String[] {"-d", home, "-t", plan.getPath(), "-j", log});
        long end = System.currentTimeMillis() + START_MS;
        while (GuiPackage.getInstance() == null || !plan.getPath().equals(GuiPackage.getInstance().getTestPlanFile())) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException("JMeter did not show the plan within " + START_MS + " ms; see " + log);
            }
            Thread.sleep(200);
        }
    }

    private static void loadWithoutWindow(String home, File plan) throws Exception {
        JMeterUtils.setJMeterHome(home);
        JMeterUtils.loadJMeterProperties(home + "/bin/jmeter.properties");
        JMeterUtils.setLocale(Locale.ENGLISH);
        JMeterTreeModel model = new JMeterTreeModel();
        JMeterTreeListener listener = new JMeterTreeListener(model);
        listener.setActionHandler(ActionRouter.getInstance());
        GuiPackage.initInstance(listener, model);
        HashTree tree = SaveService.loadTree(plan);
        GuiPackage.getInstance().addSubTree(tree);
    }

    private static Map<String, Object> show(JMeterTreeNode node, boolean screen) {
        GuiPackage gui = GuiPackage.getInstance();
        JMeterGUIComponent panel;
        if (screen) {
            gui.getMainFrame().getTree().setSelectionPath(new TreePath(node.getPath()));
            ActionRouter.getInstance().doActionNow(new ActionEvent(node, 0, ActionNames.EDIT));
            panel = gui.getCurrentGui();
        } else {
            panel = gui.getGui(node.getTestElement());
            panel.clearGui();
            panel.configure(node.getTestElement());
        }
        Map<String, Object> seen = new LinkedHashMap<>();
        Map<String, String> fields = new LinkedHashMap<>();
        read((Container) panel, fields);
        seen.put("class", node.getTestElement().getClass().getName());
        seen.put("panel", panel.getClass().getName());
        seen.put("label", panel.getStaticLabel());
        seen.put("name", ((Component) panel).getName());
        seen.put("comment", node.getTestElement().getComment());
        seen.put("onScreen", ((Component) panel).isShowing());
        seen.put("fields", fields);
        if (!screen) {
            // As JMeter does when the user goes on to the next element.
            panel.modifyTestElement(node.getTestElement());
        }
        return seen;
    }

    private static void read(Container container, Map<String, String> fields) {
        for (Component child : container.getComponents()) {
            if (child.getName() != null && child instanceof JTextComponent) {
                fields.put(child.getName(), ((JTextComponent) child).getText());
            } else if (child.getName() != null && child instanceof JCheckBox) {
                fields.put(child.getName(), String.valueOf(((JCheckBox) child).isSelected()));
            } else if (child.getName() != null && child instanceof JComboBox) {
                fields.put(child.getName(), String.valueOf(((JComboBox<?>) child).getEditor().getItem()));
            } else if (child instanceof Container) {
                read((Container) child, fields);
            }
        }
    }

    private static void save(File plan, boolean screen) {
        if (screen) {
            ActionRouter.getInstance().doActionNow(new ActionEvent(GuiPackage.getInstance(), 0, ActionNames.SAVE));
            return;
        }
        HashTree tree = new ListedHashTree();
        JMeterTreeNode root = (JMeterTreeNode) GuiPackage.getInstance().getTreeModel().getRoot();
        elementsBelow((JMeterTreeNode) root.getChildAt(0), tree);
        try (OutputStream out = Files.newOutputStream(Paths.get(plan.getPath()))) {
            SaveService.saveTree(tree, out);
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static void elementsBelow(JMeterTreeNode node, HashTree tree) {
        HashTree below = tree.add(node.getTestElement());
        for (int i = 0; i < node.getChildCount(); i++) {
            elementsBelow((JMeterTreeNode) node.getChildAt(i), below);
        }
    }
}
