"""A WebSocket server that refuses the first upgrade and says when to come again."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import socket
import threading
import time
from email.utils import formatdate
from types import TracebackType

#: What every server adds to a client's key (RFC 6455 1.3).
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class BusyServer:
    """Answers the first upgrade with 503 and `Retry-After`, all later ones with 101; for the time of a `with` block.

    `Retry-After` is seconds, or with `as_date` a date (RFC 9110 10.2.3). What a client sends first is taken for its close frame.
    """

    def __init__(self, retry_after_seconds: int, as_date: bool = False) -> None:
        self._retry_after_seconds = retry_after_seconds
        self._as_date = as_date
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def _retry_after(self) -> str:
        if self._as_date:
            # A date has whole seconds.
            return formatdate(math.ceil(time.time() + self._retry_after_seconds), usegmt=True)
        return str(self._retry_after_seconds)

    @staticmethod
    def _close(client: socket.socket) -> None:
        """Answers a close frame by an empty one."""
        with contextlib.suppress(OSError):
            if client.recv(4096):
                client.sendall(b"\x88\x00")

    def _serve(self) -> None:
        refused = False
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            if refused:
                key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
                accept = base64.b64encode(hashlib.sha1(key + GUID.encode()).digest()).decode()
                client.sendall(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
                )
                self._open.append(client)
                threading.Thread(target=self._close, args=(client,), daemon=True).start()
            else:
                refused = True
                client.sendall(
                    f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {self._retry_after()}\r\nContent-Length: 0\r\n\r\n".encode()
                )
                client.close()

    def __enter__(self) -> BusyServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._open:
            client.close()
        self._thread.join(10)
