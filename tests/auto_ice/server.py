"""A signaling server, over WebSocket and HTTP, that wants live descriptions and answers with real peers.

`/ws?shape=NAME&sc=SCENARIO` speaks one shape of `shapes.py`; options in the query: `role=offers` (it offers when told `ready`), `trickle=1`
(its descriptions have no candidates; they follow, with Kurento after `gather`), `chatter=1` (it says other things before it answers),
`drop=MS` (it drops the socket that long after its answer, and keeps the call), `video=1` (its offers have video).
`POST /http?shape=NAME&sc=…` takes one event and gives the reply; `POST /post` takes an offer, whose answer `GET /poll/DIALOG` waits for;
`POST /whip` is RFC 9725; `GET /talking/SCENARIO` is `status` for a scenario. `status` is answered when packets have come and gone, or cannot any more.

An ufrag or a fingerprint that was seen in another dialog before, or that is canned, is stale. With `strict` such a description is
refused; without, it is counted and answered as if it were live, so that a plan sees no difference.
"""
from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.auto_ice import canned, shapes
from tests.auto_ice.media_peers import MediaPeers, PeerFailed
from tests.auto_ice.shapes import Event, Malformed, Shape
from tests.compat.scripted_server import BINARY, CLOSE, GUID, OK_HEAD, PING, PONG, TEXT, frame

TALKING_PACKETS = 3
"""Packets each way that make a call one that talks."""
TALKING_SECONDS = 20
LOOK_SECONDS = 0.02


@dataclass
class Call:
    """One call as the server saw it."""

    scenario: str
    dialog: str
    peer: str
    offered: bool
    """Whether the server made the offer."""
    ufrags: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    ssrcs: list[str] = field(default_factory=list)
    stale: bool = False
    talks: bool = False
    stale_candidates: int = 0
    candidates: int = 0
    ended_by: str = ""
    sdp: str = ""
    """The last description of the plan."""
    said: str = ""
    """The last description of the server."""
    problem: str = ""


class SignalingServer:
    """The server on a thread of its own; a context manager that yields itself."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.calls: list[Call] = []
        self.said: set[str] = set()
        """Every message with a description or a candidate that it sent: they differ from run to run."""
        self.problems: list[str] = []
        self._seen: dict[str, str] = {}
        self._open: dict[str, Call] = {}
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="signaling-server", daemon=True)
        self.peers: MediaPeers

    def __enter__(self) -> SignalingServer:
        self._thread.start()
        assert self._ready.wait(20), "the signaling server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def finish(self) -> list[Call]:
        """Ends the calls that are still up, and gives all."""
        asyncio.run_coroutine_threadsafe(self._end_calls(), self._loop).result(60)
        return self.calls

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self.peers = self._loop.run_until_complete(MediaPeers.start())
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket, limit=1 << 22))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _end_calls(self) -> None:
        await asyncio.gather(*(self.end(key, "the end of the test") for key in list(self._open)))

    async def _end_all(self) -> None:
        await self._end_calls()
        await self.peers.stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await Connection(self, reader, writer).serve():
                pass
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()

    # --- calls -----------------------------------------------------------------------------------------------------

    def call(self, key: str) -> Call | None:
        """The open call of a key."""
        return self._open.get(key)

    def _begin(self, key: str, scenario: str, dialog: str, offered: bool) -> Call:
        self._number += 1
        call = Call(scenario, dialog, f"p{self._number}", offered)
        self._open[key] = call
        self.calls.append(call)
        return call

    def _inspect(self, call: Call, sdp: str) -> None:
        """Takes note of what must be fresh."""
        ufrags = sorted(set(re.findall(r"^a=ice-ufrag:(\S+)", sdp, re.M)))
        prints = sorted(set(re.findall(r"^a=fingerprint:\S+ (\S+)", sdp, re.M)))
        call.ufrags, call.fingerprints = ufrags, prints
        call.ssrcs = sorted(set(re.findall(r"^a=ssrc:(\d+)", sdp, re.M)))
        call.sdp = sdp
        call.stale = not ufrags or not prints
        for secret in ufrags + prints:
            if secret in (canned.UFRAG, canned.FINGERPRINT) or self._seen.setdefault(secret, call.peer) != call.peer:
                call.stale = True

    async def offer(self, key: str, event: Event, options: dict[str, str]) -> tuple[Call, str]:
        """The plan has offered; the answer, or empty when it is refused."""
        call = self._open.get(key)
        fresh = sorted(set(re.findall(r"^a=fingerprint:\S+ (\S+)", event.text, re.M)))
        if call and (call.offered or call.fingerprints != fresh):
            await self.end(key, "a new offer")
            call = None
        call = call or self._begin(key, options.get("sc", "?"), event.dialog, False)
        self._inspect(call, event.text)
        if call.stale and self.strict:
            call.problem = "stale"
            return call, ""
        try:
            config = {"trickle": "trickle" in options}
            call.said = (await self.peers.ask(call.peer, "answer", sdp=event.text, config=config))["sdp"]
        except PeerFailed as error:
            call.problem = f"answer: {error}"
            self.problems.append(f"{call.scenario}: {call.problem}")
        return call, call.said

    async def make_offer(self, key: str, dialog: str, options: dict[str, str]) -> tuple[Call, str]:
        """The server offers."""
        if key in self._open:
            await self.end(key, "a new offer")
        call = self._begin(key, options.get("sc", "?"), dialog, True)
        config: dict[str, Any] = {"trickle": "trickle" in options}
        if "video" in options:
            config["media"] = json.loads(options["video"])
        call.said = (await self.peers.ask(call.peer, "offer", config=config))["sdp"]
        return call, call.said

    async def accept(self, key: str, event: Event) -> bool:
        """The plan has answered."""
        call = self._open.get(key)
        if not call:
            return False
        self._inspect(call, event.text)
        if call.stale:
            call.problem = "stale"
            return not self.strict
        try:
            await self.peers.ask(call.peer, "accept", sdp=event.text)
        except PeerFailed as error:
            call.problem = f"accept: {error}"
            self.problems.append(f"{call.scenario}: {call.problem}")
            return False
        return True

    async def candidate(self, key: str, event: Event) -> None:
        """The plan trickles."""
        call = self._open.get(key)
        if not call or not event.text:
            return
        call.candidates += 1
        named = re.search(r" ufrag (\S+)", event.text)
        extra = event.extra if isinstance(event.extra, dict) else {}
        ufrag = extra.get("usernameFragment") or (named.group(1) if named else None)
        if "127.0.0.77" in event.text or ufrag is not None and ufrag not in call.ufrags:
            call.stale_candidates += 1
            return
        told = {"candidate": event.text, "sdpMid": extra.get("sdpMid", "0"), "sdpMLineIndex": extra.get("sdpMLineIndex", 0)}
        with contextlib.suppress(PeerFailed):
            await self.peers.ask(call.peer, "candidate", candidate=told)

    async def talking(self, key: str) -> None:
        """Waits until the call talks, or cannot."""
        call = self._open.get(key)
        deadline = self._loop.time() + TALKING_SECONDS
        while call and call.sdp and not call.stale and not call.problem and self._loop.time() < deadline:
            told = await self.peers.ask(call.peer, "look")
            if min(told["packetsSent"], told["packetsReceived"]) >= TALKING_PACKETS:
                call.talks = True
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def end(self, key: str, why: str) -> None:
        """Ends a call and its account."""
        call = self._open.pop(key, None)
        if call:
            call.ended_by = why
            with contextlib.suppress(PeerFailed):
                told = await self.peers.ask(call.peer, "end")
                call.talks |= min(told["packetsSent"], told["packetsReceived"]) >= TALKING_PACKETS

    def keys(self, scenario: str) -> list[str]:
        """Keys of a scenario's open calls."""
        return [key for key, call in self._open.items() if call.scenario == scenario]

    def promise(self, dialog: str) -> asyncio.Future[str]:
        """The answer that is polled for."""
        return self._waiting.setdefault(dialog, self._loop.create_future())


class Connection:
    """One accepted connection: requests, or an upgrade and its messages."""

    def __init__(self, server: SignalingServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._options: dict[str, str] = {}
        self._shape: Shape = shapes.ALL["json"]
        self._keys: set[str] = set()
        self._keep = False
        server._number += 1
        self._id = server._number

    async def serve(self) -> bool:
        """Serves one request or one WebSocket; whether the connection can serve another."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin1")
        method, target, _ = head.split("\r\n", 1)[0].split(" ", 2)
        where = urlsplit(target)
        self._options = dict(parse_qsl(where.query))
        self._shape = shapes.ALL[self._options.get("shape", "json")]
        key = re.search(r"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if key:
            digest = hashlib.sha1((key.group(1) + GUID).encode()).digest()
            accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n"
            self._writer.write((OK_HEAD + accept + "\r\n").encode())
            try:
                await self._messages()
            finally:
                if not self._keep:
                    for open_key in list(self._keys):
                        await self._server.end(open_key, "the end of the socket")
            return False
        length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
        body = await self._reader.readexactly(int(length.group(1))) if length else b""
        status, headers, answer = await self._request(method, where.path, body.decode("utf8", "replace"), head)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(answer.encode())}\r\n\r\n{answer}".encode())
        await self._writer.drain()
        return "close" not in head.lower().partition("\r\nconnection:")[2][:20]

    # --- WebSocket -------------------------------------------------------------------------------------------------

    async def _messages(self) -> None:
        while True:
            first, second = await self._reader.readexactly(2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", await self._reader.readexactly(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", await self._reader.readexactly(8))[0]
            mask = await self._reader.readexactly(4)
            data = await self._reader.readexactly(length)
            repeated = (mask * (length // 4 + 1))[:length]
            payload = (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")
            opcode = first & 15
            if opcode == CLOSE:
                self._writer.write(frame(CLOSE, payload))
                await self._writer.drain()
                return
            if opcode == PING:
                self._writer.write(frame(PONG, payload))
            elif opcode in (TEXT, BINARY):
                try:
                    event = self._shape.take_off(payload.decode())
                except (Malformed, KeyError, UnicodeDecodeError) as error:
                    self._server.problems.append(f"{self._options.get('sc')}: {type(error).__name__}: {error}")
                    await self._say(Event("refused", "", "malformed"))
                    continue
                await self._on(event)

    async def _say(self, event: Event) -> None:
        message = self._shape.put_on(event)
        if event.kind in ("offer", "answer", "candidate"):
            self._server.said.add(message)
        self._writer.write(frame(TEXT, message.encode()))
        await self._writer.drain()

    def _key(self, dialog: str) -> str:
        key = f"{self._id}/{dialog}"
        self._keys.add(key)
        return key

    async def _on(self, event: Event) -> None:
        server, key = self._server, self._key(event.dialog)
        if event.kind == "ready":
            call, sdp = await server.make_offer(key, event.dialog, self._options)
            await self._say(Event("offer", event.dialog, sdp))
            await self._trickle(key, call)
        elif event.kind == "offer":
            if "chatter" in self._options:
                for word in ("ringing", "presence", "ringing"):
                    await self._say(Event(word, event.dialog))
            call, sdp = await server.offer(key, event, self._options)
            await self._say(Event("answer", event.dialog, sdp) if sdp else Event("refused", event.dialog, call.problem))
            if sdp and self._shape.name != "kurento":
                await self._trickle(key, call)
            if "drop" in self._options:
                self._keep = True
                await asyncio.sleep(int(self._options["drop"]) / 1000)
                self._writer.transport.abort()
        elif event.kind == "answer":
            accepted = await server.accept(key, event)
            await self._say(Event("ok" if accepted else "refused", event.dialog))
        elif event.kind == "candidate":
            await server.candidate(key, event)
            if self._shape.name == "kurento":
                await self._say(Event("ok", event.dialog))
        elif event.kind == "gather":
            await self._say(Event("ok", event.dialog))
            if call := server.call(key):
                await self._trickle(key, call)
        elif event.kind == "status":
            await server.talking(key)
            await self._say(Event("ok", event.dialog))
        elif event.kind == "confirm":
            # The plan sends back what it was told.
            call = server.call(key)
            await self._say(Event("ok" if call and call.said == event.text else "refused", event.dialog))
        elif event.kind in ("bye", "decline"):
            await server.end(key, event.kind)
            await self._say(Event("ok", event.dialog))
        elif event.kind != "ack":
            await self._say(Event("ok", event.dialog))

    async def _trickle(self, key: str, call: Call) -> None:
        if "trickle" not in self._options:
            return
        told = await self._server.peers.ask(call.peer, "candidates")
        dialog = key.partition("/")[2]
        for candidate in told["candidates"]:
            init = {"candidate": candidate["candidate"], "sdpMid": "0", "sdpMLineIndex": 0}
            await self._say(Event("candidate", dialog, init["candidate"], init))

    # --- HTTP ------------------------------------------------------------------------------------------------------

    async def _request(self, method: str, path: str, body: str, head: str) -> tuple[str, dict[str, str], str]:
        server, sc = self._server, self._options.get("sc", "?")
        plain = {"Content-Type": "application/json"}
        if path.startswith("/poll/"):
            dialog = path.removeprefix("/poll/")
            with contextlib.suppress(asyncio.TimeoutError):
                return "200 OK", plain, await asyncio.wait_for(asyncio.shield(server.promise(dialog)), TALKING_SECONDS)
            return "204 No Content", {}, ""
        if path.startswith("/talking/"):
            for key in server.keys(path.removeprefix("/talking/")):
                await server.talking(key)
            return "200 OK", plain, "{}"
        if path.startswith("/whip"):
            return await self._whip(method, path, body)
        try:
            event = self._shape.take_off(body)
        except (Malformed, KeyError) as error:
            server.problems.append(f"{sc}: {type(error).__name__}: {error}")
            return "400 Bad Request", plain, "malformed"
        key = f"{sc}/{event.dialog}"
        if event.kind == "offer":
            call, sdp = await server.offer(key, event, self._options)
            reply = self._shape.put_on(Event("answer", event.dialog, sdp) if sdp else Event("refused", event.dialog))
            server.said.add(reply)
            if path == "/post":
                asyncio.get_running_loop().call_later(0.3, server.promise(event.dialog).set_result, reply)
                return "202 Accepted", plain, "{}"
            return ("200 OK" if sdp else "488 Not Acceptable"), plain, reply
        if event.kind == "status":
            await server.talking(key)
        elif event.kind == "candidate":
            await server.candidate(key, event)
        elif event.kind == "bye":
            await server.end(key, "bye")
        return "200 OK", plain, self._shape.put_on(Event("ok", event.dialog))

    async def _whip(self, method: str, path: str, body: str) -> tuple[str, dict[str, str], str]:
        server, sc = self._server, self._options.get("sc", "?")
        if method == "POST":
            key = f"{sc}/{self._id}"
            _, sdp = await server.offer(key, Event("offer", "", body), self._options)
            if not sdp:
                return "422 Unprocessable Content", {}, ""
            server.said.add(sdp)
            return "201 Created", {"Content-Type": "application/sdp", "Location": f"/whip/{key}"}, sdp
        key = path.removeprefix("/whip/")
        if method == "GET":
            await server.talking(key)
            return "200 OK", {}, ""
        await server.end(key, "bye")
        return "200 OK", {}, ""
