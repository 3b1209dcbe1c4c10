"""A STUN/TURN server that answers each request as told, without being able to relay (RFC 8489, RFC 8656)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import struct
from types import TracebackType
from typing import Callable

from tests.causes.namespaces import Namespace

COOKIE = 0x2112A442
BINDING, ALLOCATE = 0x001, 0x003
MAPPED, ERROR_CODE, REALM, NONCE, INTEGRITY, ALTERNATE_SERVER = 0x0020, 0x0009, 0x0014, 0x0015, 0x0008, 0x8023


class Request:
    """A request as far as an answer needs it."""

    def __init__(self, datagram: bytes, client: tuple[str, int]) -> None:
        kind, length, cookie = struct.unpack_from("!HHI", datagram)
        if cookie != COOKIE or kind & 0xC000 or kind & 0x0110:
            raise ValueError("no STUN request")
        self.method = kind
        self.transaction = datagram[8:20]
        self.client = client
        self.attributes: set[int] = set()
        at = 20
        while at + 4 <= min(len(datagram), 20 + length):
            name, size = struct.unpack_from("!HH", datagram, at)
            self.attributes.add(name)
            at += 4 + (size + 3) // 4 * 4

    def success(self, *attributes: bytes) -> bytes:
        """A success response."""
        return self._response(0x0100, attributes)

    def error(self, code: int, reason: str, *attributes: bytes) -> bytes:
        """An error response."""
        value = struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
        return self._response(0x0110, (attribute(ERROR_CODE, value), *attributes))

    def _response(self, kind: int, attributes: tuple[bytes, ...]) -> bytes:
        body = b"".join(attributes)
        return struct.pack("!HHI", self.method | kind, len(body), COOKIE) + self.transaction + body


#: What to send back; nothing = silence.
Answer = Callable[[Request], "bytes | None"]


def attribute(name: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def xor_address(name: int, address: str, port: int) -> bytes:
    """An XOR-…-ADDRESS attribute (IPv4)."""
    number = int(ipaddress.IPv4Address(address)) ^ COOKIE
    return attribute(name, struct.pack("!BBHI", 0, 1, port ^ (COOKIE >> 16), number))


def challenge(request: Request, code: int = 401) -> bytes:
    """401 or 438 with a realm and a nonce that no other answer has."""
    reason = {401: "Unauthorized", 438: "Stale Nonce"}[code]
    return request.error(code, reason, attribute(REALM, b"causes"), attribute(NONCE, os.urandom(8).hex().encode()))


def refusing(code: int, reason: str, *attributes: bytes) -> Answer:
    """Challenges, and refuses what comes with credentials."""

    def answer(request: Request) -> bytes | None:
        if request.method == BINDING:
            return request.success(xor_address(MAPPED, *request.client))
        if INTEGRITY not in request.attributes:
            return challenge(request)
        return challenge(request, code) if code in (401, 438) else request.error(code, reason, *attributes)

    return answer


class StunServer:
    """Answers on a UDP port as told; use as `async with`."""

    def __init__(self, namespace: Namespace, address: str, answer: Answer, port: int = 3478) -> None:
        self._namespace, self._address, self._answer = namespace, (address, port), answer
        self._serving: asyncio.Task[None] | None = None
        self.requests: list[Request] = []

    async def __aenter__(self) -> StunServer:
        self._socket = await self._namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(self._address)
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._serving:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        self._socket.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            datagram, client = await loop.sock_recvfrom(self._socket, 1500)
            with contextlib.suppress(ValueError, struct.error):
                request = Request(datagram, client)
                self.requests.append(request)
                if response := self._answer(request):
                    with contextlib.suppress(OSError):
                        await loop.sock_sendto(self._socket, response, client)
