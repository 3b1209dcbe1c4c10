"""A TCP proxy that cuts the WebSockets through it, as a server that restarts does, and lets calls go on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class CuttingProxy:
    """Forwards to a port on loopback for the time of a `with` block.

    `after` seconds after the first WebSocket upgrade it cuts all connections, refuses others for `away` seconds, and
    forwards again.
    """

    def __init__(self, port: int, after: float, away: float) -> None:
        self._to, self._after, self._away = port, after, away
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._away_until = 0.0
        self._timer: threading.Timer | None = None
        self._over = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        #: WebSocket upgrades so far.
        self.upgrades = 0

    @property
    def url(self) -> str:
        """Base URL of HTTP requests through it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if time.monotonic() < self._away_until:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._to), timeout=10)
            server.settimeout(None)
            with self._lock:
                self._open += [client, server]
            for source, sink, sees in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._forward, args=(source, sink, sees), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, sees: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if sees and b"upgrade: websocket" in data.lower():
                    self._upgraded()
                sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        # The sink is closed by the thread that reads from it.
        source.close()

    def _upgraded(self) -> None:
        with self._lock:
            self.upgrades += 1
            if self._timer is None and not self._over:
                self._timer = threading.Timer(self._after, self._cut)
                self._timer.daemon = True
                self._timer.start()

    def _cut(self) -> None:
        with self._lock:
            self._away_until = time.monotonic() + self._away
            cut, self._open = self._open, []
        for side in cut:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over = True
            timer = self._timer
        if timer is not None:
            timer.cancel()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()
        self._thread.join(10)
