"""A name server that answers as told: right, wrong, late or not at all (RFC 1035)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from types import TracebackType

from tests.causes.namespaces import Namespace

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TYPE_A = 1


class NameServer:
    """Answers on port 53 of `address`, every name alike; use as `async with`."""

    def __init__(
        self, namespace: Namespace, address: str, *, answer: str | None = None, rcode: int = NOERROR, delay_s: float = 0, silent: bool = False
    ) -> None:
        self._namespace, self._address = namespace, address
        self._answer, self._rcode, self._delay_s, self._silent = answer, rcode, delay_s, silent
        self._serving: asyncio.Task[None] | None = None
        self.questions = 0

    async def __aenter__(self) -> NameServer:
        self._socket = await self._namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self._address, 53))
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._serving:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        self._socket.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        late: set[asyncio.Task[None]] = set()
        try:
            while True:
                question, client = await loop.sock_recvfrom(self._socket, 1500)
                self.questions += 1
                if not self._silent:
                    task = asyncio.create_task(self._reply(question, client))
                    late.add(task)
                    task.add_done_callback(late.discard)
        finally:
            for task in late:
                task.cancel()

    async def _reply(self, question: bytes, client: object) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        with contextlib.suppress(OSError, struct.error, IndexError):
            await asyncio.get_running_loop().sock_sendto(self._socket, self._response(question), client)

    def _response(self, question: bytes) -> bytes:
        (number,) = struct.unpack_from("!H", question)
        end = 12
        while question[end]:
            end += question[end] + 1
        (kind,) = struct.unpack_from("!H", question, end + 1)
        asked = question[12 : end + 5]
        answers = b""
        if self._answer and kind == TYPE_A and self._rcode == NOERROR:
            address = ipaddress.IPv4Address(self._answer).packed
            answers = struct.pack("!HHHIH", 0xC00C, TYPE_A, 1, 60, 4) + address
        # QR, RD, RA; the answer names the question by a pointer to it.
        return struct.pack("!HHHHHH", number, 0x8180 | self._rcode, 1, int(bool(answers)), 0, 0) + asked + answers
