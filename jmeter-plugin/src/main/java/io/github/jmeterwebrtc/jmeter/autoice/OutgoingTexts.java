package io.github.jmeterwebrtc.jmeter.autoice;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.AutoIceChannel;
import io.github.jmeterwebrtc.jmeter.plan.CannedSdp;
import io.github.jmeterwebrtc.jmeter.run.BoundedWait;
import io.github.jmeterwebrtc.jmeter.run.TestRun;
import io.github.jmeterwebrtc.jmeter.run.ThreadScope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.apache.jmeter.config.Argument;
import org.apache.jmeter.config.Arguments;
import org.apache.jmeter.protocol.http.control.Header;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.testelement.TestElement;
import org.apache.jmeter.testelement.property.FunctionProperty;
import org.apache.jmeter.testelement.property.JMeterProperty;
import org.apache.jmeter.testelement.property.MultiProperty;
import org.apache.jmeter.testelement.property.PropertyIterator;
import org.apache.jmeter.testelement.property.StringProperty;
import org.apache.jmeter.threads.JMeterContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The texts that a sampler sends, found in its properties: live descriptions take the place of canned ones for one sample.
 *
 * <p>Of HTTP samplers these are the arguments (a raw body is one) and the files, of others all properties but scripts. A text with
 * functions is evaluated here and stays so for the sample, so that they run once. A file whose content changes is sent from a
 * copy in a folder of this thread, under its own name. Used by one JMeter thread; {@link #close()} removes the folder.
 */
final class OutgoingTexts {
    private static final Logger LOG = LoggerFactory.getLogger(OutgoingTexts.class);
    private static final String HTTP = "org.apache.jmeter.protocol.http.";
    private static final String ARGUMENTS = "HTTPsampler.Arguments";
    private static final String FILES = "HTTPsampler.Files";
    private static final String FILE_PATH = "File.path";
    private static final String HEADER_MANAGER = "HTTPSampler.header_manager";
    /** Properties of no message: names, scripts (compiled once), the element itself. */
    private static final Set<String> NO_TEXTS = new HashSet<>(Arrays.asList(
            TestElement.NAME, TestElement.COMMENTS, TestElement.GUI_CLASS, TestElement.TEST_CLASS, TestElement.ENABLED, "script",
            "filename", "cacheKey", "scriptLanguage", "BeanShellSampler.query", "BSFSampler.query"));
    /** Request headers that are made from the body: a changed one would not fit them. */
    private static final Set<String> OF_BODY = new HashSet<>(Arrays.asList(
            "content-md5", "digest", "content-digest", "repr-digest", "signature", "x-amz-content-sha256"));
    /** A shorter text says nothing about a call. */
    private static final int LEAST_CHARS = 8;
    private static final long MOST_FILE_BYTES = 1 << 20;
    private static final int MOST_REPLY_BYTES = 4 << 20;

    private AutoIceChannel channel;
    private Path folder;

    /** Swaps what the sampler is about to send. */
    void swap(TestElement sampler, AutoIceSettings settings, JMeterContext context) {
        ThreadScope thread = TestRun.current().thread();
        ObjectNode config = settings.config();
        channel = thread.keptScope().autoIce(otherSide(sampler), routed(config, sampler).toString());
        thread.watchAutoIce(thread.keptScope());
        String ofBody = headerOfBody(sampler);
        try (BoundedWait bounded = thread.beginWait(context)) {
            Message message = bytes -> live(bytes, bounded, settings.deadlineMs());
            if (ofBody != null) {
                leave(sampler, ofBody, thread);
            } else if (sampler.getClass().getName().startsWith(HTTP)) {
                http(sampler, message);
            } else {
                properties(sampler.propertyIterator(), message);
            }
        }
    }

    /** Reads what came back. */
    void read(SampleResult reply) {
        byte[] data = reply.getResponseData();
        if (channel == null || data == null || data.length > MOST_REPLY_BYTES) {
            return;
        }
        ObjectNode beside = JsonNodeFactory.instance.objectNode();
        beside.put("headers", reply.getResponseHeaders());
        channel.incoming(data, beside.toString());
    }

    /** Removes the copies of files. */
    void close() {
        if (folder == null) {
            return;
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.deleteIfExists(file);
            }
            Files.deleteIfExists(folder);
        } catch (IOException e) {
            LOG.warn("{} could not be removed: {}", folder, e.toString());
        }
        folder = null;
    }

    /** Gives what goes out instead; null = as it is. */
    private interface Message {
        byte[] live(byte[] message);

        default String live(String text) {
            byte[] live = live(text.getBytes(StandardCharsets.UTF_8));
            return live == null ? null : new String(live, StandardCharsets.UTF_8);
        }
    }

    private byte[] live(byte[] message, BoundedWait bounded, long deadlineMs) {
        try {
            return channel.outgoing(bounded.operation(), message, bounded.clip(deadlineMs));
        } catch (TimeoutException e) {
            LOG.warn("A message goes out as it is: {}", e.getMessage());
        } catch (CancellationException e) {
            // The thread is being stopped; its sample goes out as it is, or not at all.
            LOG.debug("A message goes out as it is: {}", e.getMessage());
        }
        return null;
    }

    // ---- Where texts are ------------------------------------------------------------------------------------------

    private void http(TestElement sampler, Message message) {
        Object arguments = sampler.getProperty(ARGUMENTS).getObjectValue();
        if (arguments instanceof Arguments) {
            if (((Arguments) arguments).getArgumentCount() > 1) {
                form((Arguments) arguments, message);
            } else {
                properties(((Arguments) arguments).propertyIterator(), message);
            }
        }
        Object files = sampler.getProperty(FILES).getObjectValue();
        if (files instanceof TestElement) {
            files(((TestElement) files).propertyIterator(), message);
        }
    }

    private static void properties(PropertyIterator properties, Message message) {
        while (properties.hasNext()) {
            property(properties.next(), message);
        }
    }

    private static void property(JMeterProperty property, Message message) {
        if (property instanceof MultiProperty) {
            for (JMeterProperty inner : (MultiProperty) property) {
                property(inner, message);
            }
            return;
        }
        boolean functions = property instanceof FunctionProperty;
        if (NO_TEXTS.contains(property.getName()) || !functions && !(property instanceof StringProperty)) {
            return;
        }
        String text = property.getStringValue();
        String live = text.length() < LEAST_CHARS ? null : message.live(text);
        if (live != null) {
            property.setObjectValue(live);
        } else if (functions) {
            property.setObjectValue(text);
        }
    }

    /** The fields of a form are one message: the dialog is in one, the description in another. */
    private static void form(Arguments arguments, Message message) {
        StringBuilder form = new StringBuilder();
        for (JMeterProperty property : arguments.getArguments()) {
            Argument argument = (Argument) property.getObjectValue();
            JMeterProperty value = argument.getProperty(Argument.VALUE);
            String text = value.getStringValue();
            if (value instanceof FunctionProperty) {
                value.setObjectValue(text);
            }
            form.append(form.length() == 0 ? "" : "&").append(FormText.encoded(argument.getName())).append('=')
                    .append(isEncoded(argument) ? text : FormText.encoded(text));
        }
        String live = message.live(form.toString());
        if (live == null) {
            return;
        }
        String[] fields = live.split("&", -1);
        for (int i = 0; i < fields.length && i < arguments.getArgumentCount(); i++) {
            Argument argument = arguments.getArgument(i);
            String value = fields[i].substring(fields[i].indexOf('=') + 1);
            String plain = isEncoded(argument) ? value : FormText.decoded(value);
            if (!plain.equals(argument.getValue())) {
                argument.getProperty(Argument.VALUE).setObjectValue(plain);
            }
        }
    }

    /** Whether the plan has encoded the value itself. */
    private static boolean isEncoded(Argument argument) {
        return !argument.getPropertyAsBoolean("HTTPArgument.always_encode");
    }

    private void files(PropertyIterator properties, Message message) {
        while (properties.hasNext()) {
            files(properties.next(), message);
        }
    }

    private void files(JMeterProperty property, Message message) {
        if (property instanceof MultiProperty) {
            for (JMeterProperty inner : (MultiProperty) property) {
                files(inner, message);
            }
        } else if (property.getName().equals(FILE_PATH)) {
            String path = property.getStringValue();
            String copy = liveCopy(path, message);
            if (copy != null) {
                property.setObjectValue(copy);
            } else if (property instanceof FunctionProperty) {
                property.setObjectValue(path);
            }
        }
    }

    private String liveCopy(String path, Message message) {
        try {
            Path file = Paths.get(path);
            if (path.isEmpty() || !Files.isRegularFile(file) || Files.size(file) > MOST_FILE_BYTES) {
                return null;
            }
            byte[] live = message.live(Files.readAllBytes(file));
            if (live == null) {
                return null;
            }
            if (folder == null) {
                folder = Files.createTempDirectory("jmeter-webrtc-");
            }
            Path copy = folder.resolve(file.getFileName());
            Files.write(copy, live);
            return copy.toString();
        } catch (IOException | InvalidPathException e) {
            LOG.warn("'{}' is sent as it is: {}", path, e.toString());
            return null;
        }
    }

    // ---- What stands beside -----------------------------------------------------------------------------------------

    private static String otherSide(TestElement sampler) {
        String domain = sampler.getPropertyAsString("HTTPSampler.domain");
        return domain.isEmpty()
                ? sampler.getClass().getSimpleName()
                : domain + ":" + sampler.getPropertyAsString("HTTPSampler.port");
    }

    /** With the server's name: media take the route to it, unless the plan says otherwise. */
    private static ObjectNode routed(ObjectNode config, TestElement sampler) {
        String domain = sampler.getPropertyAsString("HTTPSampler.domain");
        if (!domain.isEmpty()) {
            config.put("server", domain);
        }
        return config;
    }

    /** A header that is made from the body, and its name in the plan; null when there is none. */
    private static String headerOfBody(TestElement sampler) {
        Object manager = sampler.getProperty(HEADER_MANAGER).getObjectValue();
        if (!(manager instanceof HeaderManager)) {
            return null;
        }
        for (JMeterProperty property : ((HeaderManager) manager).getHeaders()) {
            Header header = (Header) property.getObjectValue();
            String name = header.getName().toLowerCase(Locale.ROOT);
            if (OF_BODY.contains(name) || (name + "-").contains("-signature-")
                    || header.getName().equalsIgnoreCase("Authorization") && header.getValue().startsWith("AWS4-HMAC-SHA256")) {
                return header.getName();
            }
        }
        return null;
    }

    private void leave(TestElement sampler, String header, ThreadScope thread) {
        boolean[] found = new boolean[1];
        Message look = bytes -> {
            found[0] |= CannedSdp.shape(new String(bytes, StandardCharsets.UTF_8)) != null;
            return null;
        };
        http(sampler, look);
        if (found[0]) {
            LOG.warn("'{}' goes out as it is: its header {} is made from the body, and a changed one would not fit it. Take the header"
                    + " out, or make the body with ${__webrtcOffer()} before it is signed", sampler.getName(), header);
            thread.run().countWithoutSession(sampler.getName());
        }
    }
}
