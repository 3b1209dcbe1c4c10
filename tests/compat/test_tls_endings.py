"""Servers that do not get through a TLS handshake: what the rows say."""
from __future__ import annotations

import socket
import struct
import threading
import unittest
from collections.abc import Callable

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.results import Sample

STRICT = {"webrtc.websocket.compat": "strict"}
PATIENCE_S = 60.0


def http(connection: socket.socket) -> None:
    """A server that speaks HTTP on this port."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    # Whoever closes with bytes unread would reset.
    connection.recv(1 << 16)


def end(connection: socket.socket) -> None:
    """A server that closes when it has been greeted."""
    connection.recv(1 << 16)


def reset(connection: socket.socket) -> None:
    """A server that resets when it has been greeted."""
    connection.recv(1 << 16)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def alert(connection: socket.socket) -> None:
    """A server that refuses the handshake: the fatal alert handshake_failure (RFC 8446 §6.2)."""
    connection.recv(1 << 16)
    connection.sendall(bytes.fromhex("15 0303 0002 02 28"))
    connection.recv(1 << 16)


ENDINGS: dict[str, Callable[[socket.socket], None]] = {"http": http, "end": end, "reset": reset, "alert": alert}


class TlsEndingsTest(unittest.TestCase):
    """The words are the original's; in fixed mode the cause stands behind them."""

    def test_have_the_words_of_the_original(self) -> None:
        listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ENDINGS}
        for name, listener in listeners.items():
            self.addCleanup(listener.close)
            threading.Thread(target=_serve, args=(listener, ENDINGS[name]), daemon=True).start()
        ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        want = _run(homes.original()[0], "original", ports, {})
        strict, fixed = _run(homes.ours(), "strict", ports, STRICT), _run(homes.ours(), "fixed", ports, {})
        self.assertEqual(results.differences(want, strict), [])
        for old, new in zip(want, fixed, strict=True):
            self.assertTrue(str(new["message"]).startswith(str(old["message"])), (old["message"], new["message"]))


def _serve(listener: socket.socket, ending: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(PATIENCE_S)
            try:
                ending(connection)
            except OSError:
                continue


def _run(home: Home, name: str, ports: dict[str, int], properties: dict[str, str]) -> list[Sample]:
    directory = homes.TARGET / "tls-endings" / name
    steps = [jmx.open_connection(ending, TLS=True, server="127.0.0.1", port=str(port), path="/e") for ending, port in ports.items()]
    plan = jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.thread_group("endings", *steps)))
    return results.read(jmeter_process.run(home, plan, directory, properties).results)


if __name__ == "__main__":
    unittest.main()
