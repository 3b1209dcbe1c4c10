package io.github.jmeterwebrtc.jmeter.dropin;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.autoice.AutoIceSettings;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import io.github.jmeterwebrtc.jmeter.websocket.ClientIdentity;
import io.github.jmeterwebrtc.jmeter.websocket.ProxySettings;
import io.github.jmeterwebrtc.jmeter.websocket.Surroundings;
import io.github.jmeterwebrtc.jmeter.websocket.TrustStore;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Map;

/** The engine's configuration of a connection that an existing plan asks for. */
final class Dialing {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** How much may wait in memory for a reader; what comes behind it waits in the kernel and at the server, pings among it. */
    private static final int QUEUE_FRAMES = 65_536;
    private static final long QUEUE_BYTES = 64L << 20;

    private Dialing() {
    }

    /**
     * The configuration as JSON.
     *
     * @param headers read before this, since their order is part of the request
     * @param verify  whether the server has to prove who it is; otherwise whoever answers is trusted, as JMeter does with https
     * @param autoIce what happens to session descriptions in messages; null = nothing
     * @throws IOException when a name cannot be resolved here, or a key or trust store cannot be read; its message is the
     *     host's name, or says what is wrong
     */
    static String config(Address address, UpgradeHeaders headers, Surroundings around, DropInTest test, boolean verify,
            AutoIceSettings autoIce) throws IOException {
        Behaviour behaviour = test.behaviour();
        ObjectNode config = JSON.createObjectNode();
        config.put("url", "ws://literal/");
        ArrayNode pairs = config.putArray("headers");
        for (Map.Entry<String, String> header : headers.sent().entrySet()) {
            pairs.addArray().add(header.getKey()).add(header.getValue());
        }
        config.put("connectTimeoutMs", address.connectTimeoutMs());
        config.put("handshakeTimeoutMs", address.readTimeoutMs());
        config.put("queueFrames", QUEUE_FRAMES);
        config.put("queueBytes", QUEUE_BYTES);
        config.put("autoPong", behaviour.answersPings());
        config.put("deliverPings", true);
        config.put("echoClose", behaviour.echoesClose());
        config.put("strictUpgrade", !behaviour.acceptsConnectionList());
        config.put("pingIntervalMs", behaviour.pingIntervalMs());
        if (behaviour.pingIntervalMs() > 0 && !behaviour.pingText().isEmpty()) {
            config.put("pingText", behaviour.pingText());
        }
        ProxySettings proxy = ProxySettings.forServer(address.host());
        if (proxy != null) {
            proxy.put(config, literal(resolved(proxy.host())));
        } else {
            addresses(config, address.host(), around, behaviour);
        }
        if (address.isSecure()) {
            trust(config, verify);
            ClientIdentity.put(config);
        }
        config.putObject("literal")
                .put("secure", address.isSecure())
                .put("host", address.host())
                .put("port", address.port())
                .put("target", proxy == null ? address.target() : address.proxyTarget())
                .put("inflate", headers.inflate())
                .put("readOnDemand", behaviour.readsOnDemand())
                .put("writeAfterEnd", !behaviour.noticesEnd());
        if (autoIce != null) {
            config.set("autoIce", autoIce.config());
        }
        return config.toString();
    }

    private static void trust(ObjectNode config, boolean verify) throws IOException {
        try {
            TrustStore.put(config, verify);
        } catch (InvalidElementException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /** As the JVM resolves it, which takes as long as the system lets it; of several addresses the first. */
    private static InetAddress resolved(String host) throws UnknownHostException {
        try {
            return InetAddress.getByName(host);
        } catch (UnknownHostException e) {
            // The JVM's text has the reason of the system behind the name; plans know the name alone.
            throw new UnknownHostException(host);
        }
    }

    /** Without the zone of a link-local address, which the engine takes from the route. */
    private static String literal(InetAddress address) {
        return address.getHostAddress().replaceFirst("%.*", "");
    }

    private static void addresses(ObjectNode config, String host, Surroundings around, Behaviour behaviour)
            throws UnknownHostException {
        InetAddress[] resolved;
        if (behaviour.usesDnsCache() && around.dns() != null) {
            resolved = around.dns().resolve(host);
            if (resolved == null) {
                throw new UnknownHostException(host);
            }
        } else {
            resolved = new InetAddress[] {resolved(host)};
        }
        ArrayNode addresses = config.putArray("addresses");
        for (InetAddress address : resolved) {
            addresses.add(literal(address));
        }
    }
}
