package io.github.jmeterwebrtc.jmeter.websocket;

/** How request data become a frame. The names are in plan files. */
public enum PayloadType {
    /** Hexadecimal text → binary frame. */
    Binary,
    /** UTF-8 text frame. */
    Text,
    /** UTF-8 text frame in which every {@code ^@} is sent as NUL (STOMP 1.2). */
    TextStomp
}
