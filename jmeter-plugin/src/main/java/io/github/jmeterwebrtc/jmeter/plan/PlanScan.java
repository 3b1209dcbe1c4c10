package io.github.jmeterwebrtc.jmeter.plan;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.jmeter.config.Argument;
import org.apache.jmeter.config.Arguments;
import org.apache.jmeter.engine.util.CompoundVariable;
import org.apache.jmeter.samplers.Sampler;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.FunctionProperty;
import org.apache.jmeter.testelement.property.JMeterProperty;
import org.apache.jmeter.testelement.property.MultiProperty;
import org.apache.jmeter.testelement.property.PropertyIterator;
import org.apache.jmeter.testelement.property.TestElementProperty;
import org.apache.jmeter.threads.AbstractThreadGroup;
import org.apache.jorphan.collections.HashTree;
import org.apache.jorphan.collections.HashTreeTraverser;

/**
 * Where a plan carries session descriptions: in which samplers, in which shape, in the reach of Auto ICE or not, and how many
 * threads send them.
 *
 * <p>No function of the plan is called: texts are looked at as they stand in the plan. Of variables those are known whose value
 * stands in it too, of files those whose name does. Immutable.
 */
public final class PlanScan {
    private static final Pattern VARIABLE = Pattern.compile("\\$\\{(\\w[\\w.-]*)}");
    private static final String SCRIPT = "script";

    /** How a sampler's messages come within the reach of Auto ICE. */
    public enum Reach {
        /** Its sockets are those of this plugin: nothing has to be done. */
        SOCKET,
        /** A WebRTC Auto ICE is in its scope. */
        ELEMENT,
        /** None would help: the text stands in a script. */
        SCRIPT,
        /** A WebRTC Auto ICE in its scope would help. */
        NONE
    }

    /** One sampler with a session description. */
    public static final class Place {
        private final String sampler;
        private final String shape;
        private final Reach reach;

        Place(String sampler, String shape, Reach reach) {
            this.sampler = sampler;
            this.shape = shape;
            this.reach = reach;
        }

        /**
         * Its name.
         *
         * @return the sample label
         */
        public String sampler() {
            return sampler;
        }

        /**
         * What the description is wrapped in.
         *
         * @return a word or two, see {@link CannedSdp#shape}
         */
        public String shape() {
            return shape;
        }

        /**
         * Whether Auto ICE gets hold of it.
         *
         * @return how
         */
        public Reach reach() {
            return reach;
        }
    }

    private final List<Place> places;
    private final int threads;

    private PlanScan(List<Place> places, int threads) {
        this.places = Collections.unmodifiableList(places);
        this.threads = threads;
    }

    /**
     * Looks at a plan.
     *
     * @param tree the running plan; null = nothing is found
     * @param ownSocket whether an element sends over a socket of this plugin, which reads session descriptions by itself
     * @param autoIce whether an element is a WebRTC Auto ICE
     * @return what was found
     */
    public static PlanScan of(HashTree tree, Predicate<TestElement> ownSocket, Predicate<TestElement> autoIce) {
        Walk walk = new Walk(ownSocket, autoIce);
        if (tree != null) {
            Variables variables = new Variables();
            tree.traverse(variables);
            walk.variables = variables.values;
            tree.traverse(walk);
        }
        int threads = 0;
        for (int of : walk.threads.values()) {
            threads += of;
        }
        return new PlanScan(walk.places, threads);
    }

    /**
     * The samplers with a description.
     *
     * @return in the order of the plan
     */
    public List<Place> places() {
        return places;
    }

    /**
     * Threads of the groups that have such samplers in the reach of Auto ICE: more calls of theirs there are not at a time, unless
     * a thread has several dialogs.
     *
     * @return 0 without such samplers
     */
    public int threads() {
        return threads;
    }

    /** Values of the variables that stand in the plan. */
    private static final class Variables implements HashTreeTraverser {
        private final Map<String, String> values = new HashMap<>();

        @Override
        public void addNode(Object node, HashTree subTree) {
            if (node instanceof Arguments) {
                for (JMeterProperty property : ((Arguments) node).getArguments()) {
                    Argument argument = (Argument) property.getObjectValue();
                    values.put(raw(argument.getProperty(Argument.ARG_NAME)), raw(argument.getProperty(Argument.VALUE)));
                }
            } else if (node instanceof TestElement) {
                JMeterProperty own = ((TestElement) node).getProperty("TestPlan.user_defined_variables");
                if (own instanceof TestElementProperty && own.getObjectValue() instanceof Arguments) {
                    addNode(own.getObjectValue(), null);
                }
            }
        }

        @Override
        public void subtractNode() {
            // Every node is looked at on the way down.
        }

        @Override
        public void processPath() {
            // Every node is looked at on the way down.
        }
    }

    private static final class Walk implements HashTreeTraverser {
        private final Predicate<TestElement> ownSocket;
        private final Predicate<TestElement> autoIce;
        private final List<Place> places = new ArrayList<>();
        private final Map<AbstractThreadGroup, Integer> threads = new LinkedHashMap<>();
        private final Deque<HashTree> scopes = new ArrayDeque<>();
        private final Deque<AbstractThreadGroup> groups = new ArrayDeque<>();
        private final Deque<Object> path = new ArrayDeque<>();
        private Map<String, String> variables = new HashMap<>();

        Walk(Predicate<TestElement> ownSocket, Predicate<TestElement> autoIce) {
            this.ownSocket = ownSocket;
            this.autoIce = autoIce;
        }

        @Override
        public void addNode(Object node, HashTree subTree) {
            path.push(node);
            scopes.push(subTree);
            if (node instanceof AbstractThreadGroup) {
                groups.push((AbstractThreadGroup) node);
            }
            if (node instanceof Sampler) {
                look((TestElement) node);
            }
        }

        @Override
        public void subtractNode() {
            scopes.pop();
            if (path.pop() instanceof AbstractThreadGroup) {
                groups.pop();
            }
        }

        @Override
        public void processPath() {
            // Every node is looked at on the way down.
        }

        private void look(TestElement sampler) {
            String[] found = new String[2];
            texts(sampler, (name, text) -> {
                String shape = found[0] == null ? CannedSdp.shape(resolved(text)) : null;
                if (shape != null) {
                    found[0] = shape;
                    found[1] = name;
                }
            });
            if (found[0] == null) {
                return;
            }
            boolean inScript = found[1].equals(SCRIPT) || found[1].endsWith(".query");
            Reach reach = ownSocket.test(sampler) ? Reach.SOCKET : inScript ? Reach.SCRIPT : inScope() ? Reach.ELEMENT : Reach.NONE;
            places.add(new Place(sampler.getName(), found[0], reach));
            if ((reach == Reach.SOCKET || reach == Reach.ELEMENT) && !groups.isEmpty()) {
                threads.computeIfAbsent(groups.peek(), AbstractThreadGroup::getNumThreads);
            }
        }

        private boolean inScope() {
            for (HashTree scope : scopes) {
                for (Object sibling : scope.list()) {
                    if (sibling instanceof TestElement && autoIce.test((TestElement) sibling)) {
                        return true;
                    }
                }
            }
            return false;
        }

        private String resolved(String text) {
            if (!text.contains("${")) {
                return text;
            }
            Matcher matcher = VARIABLE.matcher(text);
            StringBuffer whole = new StringBuffer();
            while (matcher.find()) {
                String value = variables.get(matcher.group(1));
                matcher.appendReplacement(whole, Matcher.quoteReplacement(value == null ? matcher.group() : value));
            }
            return matcher.appendTail(whole).toString();
        }
    }

    /** Takes a property's name and its text as it stands in the plan. */
    private interface TextVisitor {
        void visit(String name, String text);
    }

    private static void texts(TestElement element, TextVisitor visitor) {
        PropertyIterator properties = element.propertyIterator();
        while (properties.hasNext()) {
            texts(properties.next(), visitor);
        }
    }

    private static void texts(JMeterProperty property, TextVisitor visitor) {
        if (property instanceof MultiProperty) {
            for (JMeterProperty inner : (MultiProperty) property) {
                texts(inner, visitor);
            }
            return;
        }
        String text = raw(property);
        visitor.visit(property.getName(), text);
        if (property.getName().equals("dataFile") || property.getName().equals("File.path")) {
            visitor.visit(property.getName(), PlanFile.text(text));
        }
    }

    /** As it stands in the plan; functions are not called. */
    private static String raw(JMeterProperty property) {
        Object value = property.getObjectValue();
        if (property instanceof FunctionProperty) {
            return value instanceof CompoundVariable ? ((CompoundVariable) value).getRawParameters() : "";
        }
        return value instanceof String ? (String) value : "";
    }
}
