package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Locale;
import org.apache.jmeter.util.JMeterUtils;

/** The HTTP proxy that JMeter was started with ({@code -H -P -N -u -a}). Immutable. */
public final class ProxySettings {
    private static final String DEFAULT_PORT = "80";

    private final String host;
    private final String port;
    private final String user;
    private final String password;

    private ProxySettings(String host, String port, String user, String password) {
        this.host = host;
        this.port = port;
        this.user = user;
        this.password = password;
    }

    /**
     * The proxy to reach a server through.
     *
     * @param server host name or address
     * @return null when there is none, or the server is exempt from it
     */
    public static ProxySettings forServer(String server) {
        String host = System.getProperty("http.proxyHost", "");
        if (host.isEmpty() || isExempt(server, System.getProperty("http.nonProxyHosts", ""))) {
            return null;
        }
        return new ProxySettings(host, System.getProperty("http.proxyPort", DEFAULT_PORT),
                JMeterUtils.getPropDefault("http.proxyUser", ""), JMeterUtils.getPropDefault("http.proxyPass", ""));
    }

    /**
     * Whether a host is exempt, by the rule of JMeter's HTTP samplers. Pure.
     *
     * @param server host name or address
     * @param nonProxyHosts names separated by bars; a name may begin with {@code *}
     * @return whether one of them is the server's, in any case
     */
    static boolean isExempt(String server, String nonProxyHosts) {
        String name = server.toLowerCase(Locale.ROOT);
        for (String entry : nonProxyHosts.toLowerCase(Locale.ROOT).split("\\|")) {
            boolean exempt = entry.startsWith("*") ? name.endsWith(entry.substring(1)) : name.equals(entry);
            if (exempt && !entry.isEmpty()) {
                return true;
            }
        }
        return false;
    }

    /**
     * The proxy's host.
     *
     * @return name or address, never empty
     */
    public String host() {
        return host;
    }

    /**
     * The proxy's port as JMeter was given it.
     *
     * @return unchecked
     */
    public String port() {
        return port;
    }

    /**
     * Adds {@code proxy} to a socket configuration.
     *
     * @param config the configuration
     * @param address the host, or the address it was resolved to
     * @throws NumberFormatException when the port is no number
     */
    public void put(ObjectNode config, String address) {
        ObjectNode proxy = config.putObject("proxy").put("host", address).put("port", Integer.parseInt(port));
        if (!user.isEmpty()) {
            proxy.put("user", user).put("password", password);
        }
    }
}
