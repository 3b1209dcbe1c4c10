package io.github.jmeterwebrtc;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeoutException;

/** Uses the whole engine, leaves everything open, and ends in the way that its argument says. */
public final class ExitMain {
    /** In use until the end: what nobody refers to is collected and closed. */
    private static Lab lab;
    private static Scope test;

    private ExitMain() {
    }

    /**
     * The entry.
     *
     * @param arguments {@code return}, {@code exit}, {@code throw}, or {@code wait} to be ended from outside; optionally
     *                  the signaling URL of a lab and a name to call there
     * @throws Exception when something of the engine fails
     */
    public static void main(String[] arguments) throws Exception {
        Engine engine = Engine.get();
        boolean ownLab = arguments.length == 1;
        lab = ownLab ? engine.startLab("{}", 10_000) : null;
        String url = ownLab ? lab.signalingUrl() : arguments[1];
        String callee = ownLab ? "{}" : "{\"to\":\"" + arguments[2] + "\"}";
        test = engine.openScope(null);
        Scope thread = engine.openScope(test);
        Socket socket = thread.openSocket(null, "a", "{\"url\":\"" + url + "\"}", 10_000);
        socket.send(null, Opcode.TEXT, true, "{\"type\":\"ping\"}".getBytes(StandardCharsets.UTF_8), 5_000);
        System.out.println("answer " + socket.receive(null, 5_000).text());
        CallOutcome call = thread.placeCall(null, "call", socket, callee, 30_000);
        System.out.println("call " + call.code());
        thread.newSession(null, "plain", "{}").createOffer(null, 10_000);
        Thread parked = new Thread(() -> park(socket), "parked");
        parked.setDaemon(true);
        parked.start();
        System.out.println("ready " + engine.snapshot().path("softphones").path("open").asInt());
        switch (arguments[0]) {
            case "exit":
                System.exit(7);
                break;
            case "throw":
                throw new IllegalStateException("on purpose");
            case "wait":
                Thread.sleep(60_000);
                break;
            default:
                break;
        }
    }

    private static void park(Socket socket) {
        try {
            socket.receiveMatching(null, "{\"text\":\"never\"}", 600_000);
        } catch (EngineException | TimeoutException | IllegalStateException e) {
            System.out.println("woken: " + e.getMessage());
        }
    }
}
