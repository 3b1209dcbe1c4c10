package io.github.jmeterwebrtc.jmeter.plan;

/** A sampler whose messages go over a socket of this plugin, so that Auto ICE sees them on the wire. */
public interface OwnSocket {
    /**
     * Whether Auto ICE reads them without being asked to.
     *
     * @return true for the elements of existing plans, save in strict mode; false = by a WebRTC Auto ICE in scope,
     *     or {@link AutoIceMode#PROPERTY}
     */
    boolean hasAutoIceByDefault();
}
