package io.github.jmeterwebrtc.jmeter.websocket;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import java.util.Locale;
import java.util.regex.Pattern;
import org.apache.jmeter.util.JMeterUtils;

/** JMeter's own HTTP proxy, as given by its command line options {@code -H -P -N -u -a}. */
final class ProxySettings {
    private ProxySettings() {
    }

    /** Adds {@code proxy} to a socket configuration when JMeter has one for this host. */
    static void put(ObjectNode config, String server) throws InvalidElementException {
        String host = System.getProperty("http.proxyHost", "");
        if (host.isEmpty() || isExcluded(server, System.getProperty("http.nonProxyHosts", ""))) {
            return;
        }
        ObjectNode proxy = config.putObject("proxy");
        proxy.put("host", host);
        proxy.put("port", ConnectionRequest.port(System.getProperty("http.proxyPort", "80")));
        String user = JMeterUtils.getPropDefault("http.proxyUser", "");
        if (!user.isEmpty()) {
            proxy.put("user", user);
            proxy.put("password", JMeterUtils.getPropDefault("http.proxyPass", ""));
        }
    }

    /** Whether a host matches a {@code http.nonProxyHosts} list: names separated by bars, {@code *} for anything. */
    static boolean isExcluded(String server, String nonProxyHosts) {
        for (String pattern : nonProxyHosts.split("\\|")) {
            if (pattern.isEmpty()) {
                continue;
            }
            String regex = Pattern.quote(pattern.toLowerCase(Locale.ROOT)).replace("*", "\\E.*\\Q");
            if (server.toLowerCase(Locale.ROOT).matches(regex)) {
                return true;
            }
        }
        return false;
    }
}
