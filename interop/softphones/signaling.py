"""The caller's and the answerer's side of plain JSON signaling over one WebSocket (`src/signaling/json.rs`)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .ending import CallFailed, Ending

#: Fields of the `media` object of a `bye`, all of which a receiver may rely on.
ACCOUNTS = (
    "packetsSent",
    "bytesSent",
    "packetsReceived",
    "bytesReceived",
    "packetsLost",
    "socketDrops",
    "packetsSkipped",
    "jitter",
    "rtcpSent",
    "rtcpReceived",
)


class Signaling:
    """An open signaling socket. Messages are read in order; candidates are handed out apart from everything else."""

    def __init__(self, socket: ClientConnection, ending: Ending) -> None:
        self._socket = socket
        self._ending = ending
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._closed: str | None = None
        self.candidates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, ending: Ending) -> Signaling:
        """Connects; `OSError` or a handshake error tells why it could not."""
        signaling = cls(await connect(url, open_timeout=10, close_timeout=2, proxy=None), ending)
        ending.note(f"signaling open at {url}")
        return signaling

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends one message."""
        self._ending.note(f"sent {kind}")
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def expect(self, kind: str, deadline_s: float) -> dict[str, Any]:
        """The next message, which must be a `kind`; an `error` from the other side, another message, the end of the socket
        and the deadline are failures that say so."""
        try:
            message = await asyncio.wait_for(self._messages.get(), deadline_s)
        except TimeoutError:
            raise CallFailed(f"no '{kind}' message within {deadline_s} s") from None
        if message["type"] != kind:
            raise CallFailed(f"expected '{kind}', got {json.dumps(message)[:300]}")
        return message

    async def close(self) -> None:
        """Closes the socket, bounded."""
        await self._socket.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                message = json.loads(text)
                kind = message.get("type")
                if kind == "candidate":
                    self._ending.note(f"got candidate '{message['candidate'].get('candidate', '')}'")
                    await self.candidates.put(message["candidate"])
                elif kind == "ping":
                    await self.send("pong")
                else:
                    self._ending.note(f"got {kind}")
                    await self._messages.put(message)
        except ConnectionClosed as closed:
            await self._messages.put({"type": "socket closed", "cause": str(closed)})
        else:
            await self._messages.put({"type": "socket closed", "cause": "closed"})


def accounts(**counted: float) -> dict[str, float]:
    """A complete `media` object; what a softphone does not count is 0."""
    return {name: counted.get(name, 0) for name in ACCOUNTS}
