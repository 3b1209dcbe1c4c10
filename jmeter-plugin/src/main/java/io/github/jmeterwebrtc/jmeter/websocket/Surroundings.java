package io.github.jmeterwebrtc.jmeter.websocket;

import io.github.jmeterwebrtc.jmeter.websocket.filter.FrameFilter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.jmeter.protocol.http.control.CookieManager;
import org.apache.jmeter.protocol.http.control.DNSCacheManager;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.apache.jmeter.testelement.TestElement;

/**
 * The configuration elements in the scope of one sampler, as JMeter merges them before each sample: innermost first.
 *
 * <p>Cleared with the sampler's children, so that nothing grows with the number of samples.
 */
public final class Surroundings {
    private final List<FrameFilter> filters = new ArrayList<>();
    private HeaderManager headers;
    private CookieManager cookies;
    private DNSCacheManager dns;

    /** Takes an element that a sampler does not merge into itself. */
    boolean take(TestElement element) {
        if (element instanceof FrameFilter) {
            filters.add((FrameFilter) element);
        } else if (element instanceof HeaderManager) {
            // Inner headers win by name, as with JMeter's HTTP samplers.
            headers = headers == null ? (HeaderManager) element : headers.merge(element);
        } else if (element instanceof CookieManager) {
            cookies = (CookieManager) element;
        } else if (element instanceof DNSCacheManager) {
            dns = (DNSCacheManager) element;
        } else {
            return false;
        }
        return true;
    }

    void clear() {
        filters.clear();
        headers = null;
        cookies = null;
        dns = null;
    }

    /**
     * The frame filters.
     *
     * @return from the outermost, which sees a frame first, to the innermost
     */
    public List<FrameFilter> filtersFromOutside() {
        if (filters.isEmpty()) {
            return Collections.emptyList();
        }
        List<FrameFilter> reversed = new ArrayList<>(filters);
        Collections.reverse(reversed);
        return reversed;
    }

    /**
     * The merged Header Manager.
     *
     * @return null when there is none
     */
    public HeaderManager headers() {
        return headers;
    }

    /**
     * The Cookie Manager.
     *
     * @return null when there is none
     */
    public CookieManager cookies() {
        return cookies;
    }

    /**
     * The DNS Cache Manager.
     *
     * @return null when there is none
     */
    public DNSCacheManager dns() {
        return dns;
    }
}
