"""A server that pings every now and then and drops those who do not answer, and a plan that thinks meanwhile."""
from __future__ import annotations

import base64
import hashlib
import socket
import threading
import time

from tests.compat import jmx
from tests.compat.jmx import Element

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class PingingServer:
    """Pings every `interval` seconds; a connection whose pong is still missing at the next ping is dropped."""

    def __init__(self, interval: float) -> None:
        self.dropped = 0
        self.answered = 0
        self._interval = interval
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()

    def __enter__(self) -> PingingServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            key = next(line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self._talk(connection)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _talk(self, connection: socket.socket) -> None:
        next_ping, unanswered, buffer = time.monotonic() + self._interval, False, b""
        while True:
            connection.settimeout(max(0.01, next_ping - time.monotonic()))
            try:
                data = connection.recv(4096)
                if not data:
                    return
                buffer += data
            except TimeoutError:
                if unanswered:
                    with self._lock:
                        self.dropped += 1
                    return
                connection.sendall(b"\x89\x04ping")
                next_ping, unanswered = time.monotonic() + self._interval, True
            while (parsed := _frame(buffer)) is not None:
                opcode, payload, buffer = parsed
                if opcode == 10:
                    unanswered = False
                    with self._lock:
                        self.answered += 1
                elif opcode == 1:
                    connection.sendall(bytes([0x81, len(payload)]) + payload)
                elif opcode == 8:
                    connection.sendall(bytes([0x88, len(payload)]) + payload)
                    return


def _frame(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """A masked frame shorter than 126 bytes at the begin of the buffer."""
    if len(buffer) < 6 or len(buffer) < 6 + (buffer[1] & 127):
        return None
    length, mask = buffer[1] & 127, buffer[2:6]
    payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(buffer[6:6 + length]))
    return buffer[0] & 15, payload, buffer[6 + length:]


def plan(port: int, threads: int, seconds: float) -> Element:
    """Open, think, ask, close."""
    used: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(port), "path": "/", "createNewConnection": False}
    return jmx.test_plan(jmx.thread_group(
        "thinkers", jmx.open_connection("open", server="127.0.0.1", port=str(port), path="/", readTimeout="5000"),
        jmx.request_response("after thinking", **used, payloadType="Text", requestData="still there?", readTimeout="5000")
        .holding(jmx.constant_timer(int(seconds * 1000))),
        jmx.close("close", statusCode="1000", readTimeout="5000"), threads=threads))


__all__ = ["PingingServer", "plan"]
