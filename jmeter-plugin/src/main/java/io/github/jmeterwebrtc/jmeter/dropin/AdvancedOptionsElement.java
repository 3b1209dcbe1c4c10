package io.github.jmeterwebrtc.jmeter.dropin;

import org.apache.jmeter.config.ConfigTestElement;

/**
 * WebSocket Advanced Options of existing plans. Every sampler may name its connection ({@code connectionId}) with or
 * without it, so it only keeps its property.
 */
public class AdvancedOptionsElement extends ConfigTestElement {
    private static final long serialVersionUID = 1L;

    /** boolProp (default false). */
    public static final String MULTIPLE_CONNECTIONS = "enableMultipleConnectionsPerThread";
}
