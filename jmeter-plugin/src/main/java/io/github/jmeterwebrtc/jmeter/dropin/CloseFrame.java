package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.EngineException;
import io.github.jmeterwebrtc.Opcode;
import io.github.jmeterwebrtc.Operation;
import io.github.jmeterwebrtc.Sent;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeoutException;

/** The close frame of a sampler: any status that fits 16 bits, as plans have it. */
final class CloseFrame {
    private CloseFrame() {
    }

    static Sent send(DropInConnection connection, Operation operation, int status, String reason, long deadlineMs)
            throws EngineException, TimeoutException {
        Sent sent = connection.socket().send(operation, Opcode.CLOSE, true, payload(status, reason), deadlineMs);
        connection.closeSent();
        return sent;
    }

    static byte[] payload(int status, String reason) {
        byte[] text = reason.getBytes(StandardCharsets.UTF_8);
        byte[] payload = new byte[text.length + 2];
        payload[0] = (byte) (status >> 8);
        payload[1] = (byte) status;
        System.arraycopy(text, 0, payload, 2, text.length);
        return payload;
    }
}
