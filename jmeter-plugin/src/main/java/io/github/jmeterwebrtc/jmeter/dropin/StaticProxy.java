package io.github.jmeterwebrtc.jmeter.dropin;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Locale;
import org.apache.jmeter.util.JMeterUtils;

/** The HTTP proxy that JMeter was started with ({@code -H -P -N -u -a}). Immutable. */
final class StaticProxy {
    private static final String DEFAULT_PORT = "80";

    private final String host;
    private final int port;
    private final String user;
    private final String password;

    private StaticProxy(String host, int port, String user, String password) {
        this.host = host;
        this.port = port;
        this.user = user;
        this.password = password;
    }

    /** The proxy to reach a server through; null when there is none, or the server is exempt from it. */
    static StaticProxy forServer(String server) {
        String host = System.getProperty("http.proxyHost", "");
        if (host.isEmpty() || isExempt(server, System.getProperty("http.nonProxyHosts", ""))) {
            return null;
        }
        int port = Integer.parseInt(System.getProperty("http.proxyPort", DEFAULT_PORT));
        return new StaticProxy(host, port,
                JMeterUtils.getPropDefault("http.proxyUser", ""), JMeterUtils.getPropDefault("http.proxyPass", ""));
    }

    /** Whether a host is in a list of names separated by bars; a name may begin with {@code *}. Pure. */
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

    /** Adds {@code proxy} to a socket configuration. */
    void put(ObjectNode config) {
        ObjectNode proxy = config.putObject("proxy").put("host", host).put("port", port);
        if (!user.isEmpty()) {
            proxy.put("user", user).put("password", password);
        }
    }
}
