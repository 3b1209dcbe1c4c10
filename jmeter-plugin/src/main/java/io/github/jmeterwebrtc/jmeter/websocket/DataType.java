package io.github.jmeterwebrtc.jmeter.websocket;

/** What a read expects. The names are in plan files. */
public enum DataType {
    /** A text frame. */
    Text,
    /** A binary frame. */
    Binary,
    /** Either. */
    Any
}
