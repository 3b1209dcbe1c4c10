"""WebSocket servers that do as told: refuse, break the protocol, cut, or stand between a softphone and a lab and meddle.

Only what provoking needs of RFC 6455: text frames below 64 KiB, close, ping, pong.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import ssl
import struct
import threading
from types import TracebackType
from typing import Any, Awaitable, Callable

from tests.causes.namespaces import Namespace

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
OPEN_DEADLINE_S = 20
KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Line:
    """One TCP connection, as the server or the client of a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, masks: bool = False) -> None:
        self.reader, self.writer, self._masks = reader, writer, masks
        self.headers: dict[str, str] = {}

    async def request(self) -> None:
        """Reads the upgrade request."""
        async with asyncio.timeout(OPEN_DEADLINE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    async def respond(self, status: str, *headers: str, body: str = "") -> None:
        """Answers the upgrade with another status than 101."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
        await self.write("\r\n".join(lines).encode())

    async def accept(self, key: str | None = None) -> None:
        """Accepts the upgrade; `key` is one to get wrong."""
        offered = (key if key is not None else self.headers["sec-websocket-key"]).encode()
        accept = base64.b64encode(hashlib.sha1(offered + KEY_SUFFIX).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}", "", ""]
        await self.write("\r\n".join(lines).encode())

    async def frame(self) -> tuple[int, bytes] | None:
        """The next frame; `None` at the end of the connection."""
        try:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            mask = await self.reader.readexactly(4) if second & 0x80 else b"\0\0\0\0"
            payload = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None
        return first & 0xF, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if any(mask) else payload

    async def send(self, opcode: int, payload: bytes = b"") -> None:
        """Sends one frame."""
        size = len(payload)
        head = bytes([0x80 | opcode])
        bit = 0x80 if self._masks else 0
        head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack("!H", size)
        if self._masks:
            # A mask of zeroes leaves the payload as it is.
            head += b"\0\0\0\0"
        await self.write(head + payload)

    async def say(self, message: dict[str, Any]) -> None:
        """Sends one signaling message."""
        await self.send(TEXT, json.dumps(message).encode())

    async def write(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self.writer.write(data)
        with contextlib.suppress(OSError):
            await self.writer.drain()

    async def close(self, code: int | None, reason: str = "") -> None:
        """Sends a close frame and waits for the other side's."""
        await self.send(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                while (frame := await self.frame()) is not None and frame[0] != CLOSE:
                    pass

    def reset(self) -> None:
        """Ends TCP with an RST."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def finish(self) -> None:
        """Ends TCP with a FIN and no close frame."""
        self.writer.close()


Behaviour = Callable[[Line], Awaitable[None]]


class Server:
    """A TCP server of a namespace whose connections all behave alike; use as `async with`."""

    def __init__(self, namespace: Namespace, address: str, behaviour: Behaviour, port: int = 8080, tls: ssl.SSLContext | None = None) -> None:
        self._namespace, self._address, self._behaviour, self._tls = namespace, (address, port), behaviour, tls
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Server:
        listener = await self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self._address)
        self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self._tls)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for line in list(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            await self._behaviour(Line(reader, writer))
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            # The client went away; what it made of that is what is looked at.
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._lines.discard(task)
            with contextlib.suppress(OSError):
                writer.close()


class AlertingServer:
    """Ends every TLS handshake by the alert that its context calls for; use as `async with`.

    It runs on a thread with a blocking socket: asyncio's own TLS drops the connection before the alert is out.
    """

    def __init__(self, namespace: Namespace, address: str, tls: ssl.SSLContext, port: int = 8080) -> None:
        self._namespace, self._address, self._tls = namespace, (address, port), tls

    async def __aenter__(self) -> AlertingServer:
        self._listener = await self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._address)
        self._listener.listen()
        self._listener.settimeout(0.2)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        await asyncio.to_thread(self._thread.join, OPEN_DEADLINE_S)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(3)
                with contextlib.suppress(OSError):
                    # A TLS 1.3 client is through before the server says what it misses: reading makes it say so.
                    self._tls.wrap_socket(connection, server_side=True).recv(1)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass


async def hang(line: Line) -> None:
    """Takes what comes and says nothing."""
    while await line.reader.read(1 << 16):
        pass


def accepting(then: Behaviour) -> Behaviour:
    """Accepts the upgrade, then does the rest."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.accept()
        await then(line)

    return behave


async def converse(line: Line) -> None:
    """Answers pings and a close, as a server does that has nothing to say."""
    while (frame := await line.frame()) is not None:
        opcode, payload = frame
        if opcode == PING:
            await line.send(PONG, payload)
        elif opcode == CLOSE:
            await line.send(CLOSE, payload)
            return


#: Takes a signaling message on its way (`"out"` from the softphone, `"in"` to it); what it gives goes on instead.
Meddling = Callable[[str, dict[str, Any]], Awaitable["list[dict[str, Any]]"]]


class Meddler(Server):
    """Stands between a softphone and a lab and changes what they say to each other."""

    def __init__(self, namespace: Namespace, address: str, lab: str, meddling: Meddling, port: int = 8080) -> None:
        super().__init__(namespace, address, self._relay, port)
        self._lab, self._meddling = lab, meddling
        self.open: list[tuple[Line, Line]] = []

    async def _relay(self, client: Line) -> None:
        await client.request()
        upstream = await self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        await asyncio.get_running_loop().sock_connect(upstream, (self._lab, 8080))
        server = Line(*await asyncio.open_connection(sock=upstream), masks=True)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET / HTTP/1.1", f"Host: {self._lab}:8080", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        await server.write("\r\n".join(lines).encode())
        await server.reader.readuntil(b"\r\n\r\n")
        await client.accept()
        self.open.append((client, server))
        try:
            await asyncio.gather(self._carry("out", client, server), self._carry("in", server, client))
        finally:
            server.writer.close()

    async def _carry(self, direction: str, source: Line, sink: Line) -> None:
        while (frame := await source.frame()) is not None:
            opcode, payload = frame
            if opcode != TEXT:
                await sink.send(opcode, payload)
                continue
            for message in await self._meddling(direction, json.loads(payload)):
                await sink.say(message)
        sink.finish()
