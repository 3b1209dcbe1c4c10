"""A loopback WebSocket server whose behaviour the client writes into path and messages.

A script is words separated by spaces, executed in order (percent-decoded when it stands in a path):

    t:TEXT b:HEX p:TEXT o:TEXT   a text, binary, ping, pong frame     c:CODE:REASON  a close frame; `c` an empty one
    z:TEXT Z:TEXT                a deflated text (RFC 7692); Z without context takeover
    tf:TEXT bf:HEX zf:TEXT       the first fragment of a message      k:TEXT kf:TEXT a last / middle continuation
    r:N                          a text of N times `x`                x:HEX          raw bytes
    s:MS                         sleep                                fin rst        end the TCP connection
    hold                         keep what follows until the next message comes

`GET /s/SCRIPT` runs a script after the upgrade, `GET /h/VARIANT` answers with an odd response head (see HEADS),
`GET /e…` is a plain echo. A text message that starts with `!` is a script; everything else is echoed; ping is
answered by pong, close by close. After a close frame of its own it sends nothing more (RFC 6455 §5.5.1): what a client
leaves unread when it ends TCP makes its kernel send an RST, which takes the client's last frames back where the
server has not read them yet, and whether that happens is chance. Every request head and frame is recorded under the `sc` parameter of the query.
An `http://` request target or `CONNECT` is handled as a proxy would.
"""
from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import ssl
import struct
import threading
import zlib
from urllib.parse import unquote

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OK_HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
HEADS = {
    "keepalive": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n{accept}\r\n",
    "lower": "HTTP/1.1 101 Switching Protocols\r\nupgrade: WEBSOCKET\r\nconnection: upgrade\r\n{accept}\r\n",
    "noconnection": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n{accept}\r\n",
    "noupgrade": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{accept}\r\n",
    "otherupgrade": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n{accept}\r\n",
    "noaccept": OK_HEAD + "\r\n",
    "wrongaccept": OK_HEAD + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    "nothing": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "noreason": "HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n",
    "otherreason": "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n",
    "http10": "HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n",
    "cookies": OK_HEAD + "{accept}Set-Cookie: sid=abc; Path=/\r\nSet-Cookie: lang=en; Path=/\r\nX-Z: 1\r\nX-A: 2\r\n\r\n",
    "nospace": "HTTP/1.1 101 Switching Protocols\r\nUpgrade:websocket\r\nConnection:Upgrade\r\n{accept}\r\n",
    "padded": "HTTP/1.1 101 Switching Protocols\r\nUpgrade:   websocket  \r\nConnection:  Upgrade \r\n{accept}\r\n",
    "colon": OK_HEAD + "{accept}X-Time: 12:30:59\r\nX-Empty:\r\n\r\n",
    "protocol": OK_HEAD + "{accept}Sec-WebSocket-Protocol: chat\r\n\r\n",
    "lflines": "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n{accept}\n",
    "garbage": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "oddline": "HTTP/1.1 abc Switching Protocols\r\n\r\n",
    "empty": "",
    "half": "HTTP/1.1 101 Switching Proto",
    "200": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "204": "HTTP/1.1 204 No Content\r\n\r\n",
    "301": "HTTP/1.1 301 Moved Permanently\r\nLocation: /e\r\nContent-Length: 0\r\n\r\n",
    "400": "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "401": "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
    "403": "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden",
    "404": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "429": "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
    "500": "HTTP/1.0 500 Internal Server Error\r\n\r\n",
    "503": "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
}
"""Response heads by name; every name below `cookies` that cannot be an upgrade ends the connection."""


JSON = {
    "token": '{"access_token":"abc123"}',
    "channel": '{"id":"c1","connectUri":"ws://127.0.0.1:PORT/e/channels/c1?sc=agents"}',
}
"""Bodies of `GET /json/NAME`; any other name gives an empty object."""


class Recorder:
    """What arrived, by scenario; safe to read from other threads.

    Connection after connection, in the order in which they were accepted. Which of two open connections is read first when
    both have something is chance: the original, run ten times with one plan, gave four orders of the same events.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, dict[int, list[str]]] = {}

    def add(self, scenario: str, connection: int, event: str) -> None:
        """Appends one event of a scenario, which came over the connection of that number."""
        with self._lock:
            self._events.setdefault(scenario, {}).setdefault(connection, []).append(event)

    def take(self) -> dict[str, list[str]]:
        """Everything since the last call."""
        with self._lock:
            events, self._events = self._events, {}
        return {scenario: [event for _, of_one in sorted(by_connection.items()) for event in of_one]
                for scenario, by_connection in events.items()}


class ScriptedServer:
    """The server on a thread of its own; a context manager that yields itself."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.recorder = Recorder()
        self.connections = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="scripted-server", daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _loop, _context: None)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, sock=self._socket, ssl=self._tls, limit=1 << 22))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError,
                                 UnicodeDecodeError, zlib.error):
            await Connection(reader, writer, self.recorder, self.connections).serve()
        with contextlib.suppress(OSError, RuntimeError, ssl.SSLError):
            writer.close()


class Connection:
    """One accepted connection, from request head to end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recorder: Recorder, number: int) -> None:
        self._reader, self._writer, self._recorder, self._number = reader, writer, recorder, number
        self._scenario = "?"
        self._held: list[str] = []
        self._ended = False
        self._closing = False
        self._deflater = zlib.compressobj(wbits=-15)

    async def serve(self) -> None:
        """Answers the upgrade, then frames until the end."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin1")
        if head.startswith("CONNECT "):
            await self._tunnel(head)
            return
        target = head.split(" ", 2)[1]
        if match := re.search(r"[?&]sc=([^& ]+)", target):
            self._scenario = match.group(1)
        if subject := (self._writer.get_extra_info("peercert") or {}).get("subject"):
            self._record(f"CERTIFICATE {subject}")
        self._record("HEAD " + re.sub(r"(?i)(sec-websocket-key: )\S+", r"\1…", head))
        path = re.sub(r"^https?://[^/]*", "", target).split("?")[0]
        key = re.search(r"(?i)\r\nsec-websocket-key: *(\S+)", head)
        accept = ""
        if key:
            digest = hashlib.sha1((key.group(1) + GUID).encode()).digest()
            accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n"
        if path.startswith("/json/"):
            body = JSON.get(path[6:], "{}").replace("PORT", str(self._writer.get_extra_info("sockname")[1]))
            await self._send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                             f"Connection: close\r\n\r\n{body}".encode())
            return
        if path.startswith("/h/"):
            name = path[3:]
            if name == "hang":
                await asyncio.sleep(30)
                return
            answer = HEADS[name].format(accept=accept)
            await self._send(answer.encode())
            if " 101" not in answer or not answer.endswith("\n"):
                self._writer.close()
                return
        else:
            extension = ""
            if re.search(r"(?i)\r\nsec-websocket-extensions: *permessage-deflate", head) and "nodeflate" not in target:
                extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
            script = unquote(path[3:]).encode() if path.startswith("/s/") else b""
            await self._send((OK_HEAD + extension + accept + "\r\n").encode())
            if script:
                await self._run(script.decode())
        while not self._ended:
            await self._frame()

    async def _tunnel(self, head: str) -> None:
        """Behaves as an HTTP proxy: connects to the target and copies both ways."""
        self._scenario = "proxy"
        host, _, port = head.split(" ", 2)[1].rpartition(":")
        self._record("HEAD " + re.sub(r":\d+", ":…", head))
        if host == "refused.proxy.example":
            await self._send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await self._send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        await self._send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(self._reader, writer), _copy(reader, self._writer))

    async def _frame(self) -> None:
        first, second = await self._reader.readexactly(2)
        length = second & 127
        if length == 126:
            length = struct.unpack(">H", await self._reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", await self._reader.readexactly(8))[0]
        mask = await self._reader.readexactly(4) if second & 128 else bytes(4)
        body = await self._reader.readexactly(length)
        payload = _masked(body, mask)
        opcode = first & 15
        self._record(f"FRAME {first:02x} {'masked' if second & 128 else 'unmasked'} {length} {payload[:120]!r}")
        if self._held and opcode in (TEXT, BINARY):
            held, self._held = self._held, []
            await self._words(held)
        if opcode == TEXT and payload.startswith(b"!"):
            await self._run(payload[1:].decode())
        elif opcode in (TEXT, BINARY):
            await self._send(frame(opcode, payload))
        elif opcode == PING:
            await self._send(frame(PONG, payload))
        elif opcode == CLOSE:
            await self._send(frame(CLOSE, payload))
            self._closing = True
            self._end()

    async def _run(self, script: str) -> None:
        await self._words(script.split(" "))

    async def _words(self, words: list[str]) -> None:
        for i, word in enumerate(words):
            if self._ended:
                return
            name, _, rest = word.partition(":")
            rest = rest.replace("_", " ")
            if name == "hold":
                self._held = words[i + 1:]
                return
            if name == "s":
                await asyncio.sleep(int(rest) / 1000)
            elif name == "fin":
                self._end()
            elif name == "rst":
                self._reset()
            elif name:
                await self._send(self._bytes_of(name, rest))
                self._closing |= name == "c"

    def _bytes_of(self, name: str, rest: str) -> bytes:
        if name == "t":
            return frame(TEXT, rest.encode())
        if name == "tf":
            return frame(TEXT, rest.encode(), fin=False)
        if name == "b":
            return frame(BINARY, bytes.fromhex(rest))
        if name == "bf":
            return frame(BINARY, bytes.fromhex(rest), fin=False)
        if name == "k":
            return frame(0, rest.encode())
        if name == "kf":
            return frame(0, rest.encode(), fin=False)
        if name == "p":
            return frame(PING, rest.encode())
        if name == "o":
            return frame(PONG, rest.encode())
        if name == "r":
            return frame(TEXT, b"x" * int(rest))
        if name == "x":
            return bytes.fromhex(rest)
        if name == "z":
            data = self._deflater.compress(rest.encode()) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
            return frame(TEXT, data[:-4], rsv1=True)
        if name == "Z":
            fresh = zlib.compressobj(wbits=-15)
            data = fresh.compress(rest.encode()) + fresh.flush(zlib.Z_SYNC_FLUSH)
            return frame(TEXT, data[:-4], rsv1=True)
        if name == "zf":
            data = self._deflater.compress(rest.encode()) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
            cut = max(1, len(data[:-4]) // 2)
            return frame(TEXT, data[:cut], fin=False, rsv1=True) + frame(0, data[cut:-4])
        if name == "c":
            if not rest:
                return frame(CLOSE, b"")
            code, _, reason = rest.partition(":")
            return frame(CLOSE, struct.pack(">H", int(code)) + reason.encode())
        raise ValueError(f"unknown word {name!r} in a script")

    async def _send(self, data: bytes) -> None:
        if self._closing:
            return
        self._writer.write(data)
        await self._writer.drain()

    def _end(self) -> None:
        self._ended = True
        self._writer.close()

    def _reset(self) -> None:
        self._ended = True
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _record(self, event: str) -> None:
        self._recorder.add(self._scenario, self._number, event)


def frame(opcode: int, payload: bytes, fin: bool = True, rsv1: bool = False) -> bytes:
    """An unmasked frame (RFC 6455 §5.2)."""
    first = (128 if fin else 0) | (64 if rsv1 else 0) | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload


def _masked(body: bytes, mask: bytes) -> bytes:
    if not body:
        return body
    key = (mask * (len(body) // 4 + 1))[:len(body)]
    return (int.from_bytes(body, "big") ^ int.from_bytes(key, "big")).to_bytes(len(body), "big")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
