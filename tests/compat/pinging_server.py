"""A loopback WebSocket server that pings its clients and drops those that stay silent; it echoes what they send."""
from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import threading
import time

from tests.compat.scripted_server import BINARY, CLOSE, GUID, OK_HEAD, PING, TEXT, frame

MASKED = 128


class PingingServer:
    """The server on a thread of its own; a context manager that yields itself.

    A client is pinged every `interval` seconds, and loses its connection, without a close frame, when nothing at all came
    from it for `patience` seconds.
    """

    def __init__(self, interval: float, patience: float) -> None:
        self.accepted = 0
        self.dropped = 0
        """Connections that were dropped for silence."""
        self._interval, self._patience = interval, patience
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="pinging-server", daemon=True)

    def __enter__(self) -> PingingServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await client.upgrade()
            self.accepted += 1
            pinging = self._loop.create_task(self._ping(client))
            try:
                await client.echo()
            finally:
                pinging.cancel()
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()

    async def _ping(self, client: _Client) -> None:
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(self._interval)
                if time.monotonic() - client.heard_at > self._patience:
                    self.dropped += 1
                    client.drop()
                    return
                client.send(frame(PING, b"still there?"))


class _Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.heard_at = time.monotonic()

    async def upgrade(self) -> None:
        """Answers the upgrade request."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin1")
        key = re.search(r"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if not key:
            raise OSError("no WebSocket request")
        digest = base64.b64encode(hashlib.sha1((key.group(1) + GUID).encode()).digest()).decode()
        self.send(f"{OK_HEAD}Sec-WebSocket-Accept: {digest}\r\n\r\n".encode())

    async def echo(self) -> None:
        """Sends data back until a close frame or the end of the connection; frames are shorter than 126 bytes."""
        while True:
            first, second = await self._reader.readexactly(2)
            mask = await self._reader.readexactly(4)
            payload = await self._reader.readexactly(second - MASKED)
            self.heard_at = time.monotonic()
            plain = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
            opcode = first & 15
            if opcode in (TEXT, BINARY, CLOSE):
                self.send(frame(opcode, plain))
            if opcode == CLOSE:
                return

    def send(self, data: bytes) -> None:
        """Queues bytes for sending."""
        self._writer.write(data)

    def drop(self) -> None:
        """Ends TCP."""
        self._writer.close()
