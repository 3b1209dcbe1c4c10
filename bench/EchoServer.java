import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;

/**
 * A WebSocket echo for measuring clients: one thread, small messages, loopback only. Prints its port.
 *
 * <p>Started as {@code java EchoServer.java}; ends when its standard input does.
 */
final class EchoServer {
    private static final int LONGEST = 1 << 16;

    private EchoServer() {
    }

    public static void main(String[] arguments) throws Exception {
        Selector selector = Selector.open();
        ServerSocketChannel listening = ServerSocketChannel.open();
        listening.bind(new InetSocketAddress("127.0.0.1", 0), 4096);
        listening.configureBlocking(false);
        listening.register(selector, SelectionKey.OP_ACCEPT);
        System.out.println(listening.socket().getLocalPort());
        Thread stdin = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException e) {
                System.err.println(e.getMessage());
            }
            System.exit(0);
        });
        stdin.setDaemon(true);
        stdin.start();
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel client = listening.accept();
                    client.configureBlocking(false);
                    client.register(selector, SelectionKey.OP_READ, ByteBuffer.allocate(512));
                } else {
                    serve(key);
                }
            }
            selector.selectedKeys().clear();
        }
    }

    private static void serve(SelectionKey key) throws Exception {
        SocketChannel client = (SocketChannel) key.channel();
        ByteBuffer in = (ByteBuffer) key.attachment();
        try {
            if (!in.hasRemaining() && in.capacity() < LONGEST) {
                ByteBuffer larger = ByteBuffer.allocate(in.capacity() * 4);
                in.flip();
                larger.put(in);
                key.attach(in = larger);
            }
            if (client.read(in) < 0) {
                client.close();
                return;
            }
            in.flip();
            while (answer(client, in)) {
                continue;
            }
            in.compact();
        } catch (IOException e) {
            client.close();
        }
    }

    /** Answers the upgrade request or the frame at the begin of the buffer; false when it is not complete. */
    private static boolean answer(SocketChannel client, ByteBuffer in) throws Exception {
        if (in.remaining() > 0 && in.get(in.position()) == 'G') {
            String head = new String(in.array(), in.position(), in.remaining(), StandardCharsets.ISO_8859_1);
            int end = head.indexOf("\r\n\r\n");
            if (end < 0) {
                return false;
            }
            String key = head.replaceAll("(?si).*sec-websocket-key: *(\\S+).*", "$1");
            byte[] digest = MessageDigest.getInstance("SHA-1").digest(
                    (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").getBytes(StandardCharsets.ISO_8859_1));
            write(client, ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: " + Base64.getEncoder().encodeToString(digest) + "\r\n\r\n")
                    .getBytes(StandardCharsets.ISO_8859_1));
            in.position(in.position() + end + 4);
            return true;
        }
        int begin = in.position();
        if (in.remaining() < 6 || in.remaining() < 6 + (in.get(begin + 1) & 127)) {
            return false;
        }
        int length = in.get(begin + 1) & 127;
        byte[] frame = new byte[2 + length];
        frame[0] = in.get(begin);
        frame[1] = (byte) length;
        for (int i = 0; i < length; i++) {
            frame[2 + i] = (byte) (in.get(begin + 6 + i) ^ in.get(begin + 2 + i % 4));
        }
        in.position(begin + 6 + length);
        write(client, frame);
        if ((frame[0] & 15) == 8) {
            client.close();
            return false;
        }
        return true;
    }

    private static void write(SocketChannel client, byte[] bytes) throws IOException {
        ByteBuffer out = ByteBuffer.wrap(bytes);
        while (out.hasRemaining()) {
            client.write(out);
        }
    }
}
