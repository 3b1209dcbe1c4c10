package io.github.jmeterwebrtc.jmeter.websocket;

/** Error numbers of Linux connects in the words of Java's sockets. Pure. */
final class Errno {
    private Errno() {
    }

    static String words(int errno, String otherwise) {
        switch (errno) {
            case 101:
                return "Network is unreachable";
            case 104:
                return "Connection reset";
            case 110:
                return "Connection timed out";
            case 111:
                return "Connection refused";
            case 113:
                return "No route to host";
            default:
                return otherwise;
        }
    }
}
