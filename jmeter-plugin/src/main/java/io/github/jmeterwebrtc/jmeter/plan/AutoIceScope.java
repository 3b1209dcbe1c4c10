package io.github.jmeterwebrtc.jmeter.plan;

/** An element that brings Auto ICE to the samplers in its scope. */
public interface AutoIceScope {
    /**
     * What it asks for.
     *
     * @return null when it leaves that to {@link AutoIceMode#PROPERTY}, or has no usable mode
     */
    AutoIceMode wanted();
}
