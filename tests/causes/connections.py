"""DNS, TCP, TLS and the WebSocket: faults before any call, and ends of an open socket."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

from tests.causes.name_server import NXDOMAIN, REFUSED, SERVFAIL, NameServer
from tests.causes.namespaces import Namespace, command
from tests.causes.programs import Line
from tests.causes.provocations import CERTAIN, LIKELY, provokes, told
from tests.causes.web_sockets import CLOSE, AlertingServer, Behaviour, Server, accepting, converse, hang
from tests.causes.web_sockets import Line as Connection
from tests.causes.world import LAB, World, calling, holding_socket, opening, registering

NAME_SERVER = "127.0.0.53"


# --- DNS ------------------------------------------------------------------------------------------------------


async def look_up(world: World, *servers: NameServer | None, namespace: Namespace, **config: object) -> list[Line]:
    """Opens a WebSocket to a host name."""
    for server in servers:
        if server:
            await world.enter(server)
    namespace.name_servers(NAME_SERVER)
    return await world.lines(namespace, opening("softphones.example", dnsTimeoutMs=3000, **config), resolving=True)


@provokes("DNS_NXDOMAIN", confidence=CERTAIN)
async def dns_nxdomain(world: World) -> list[Line]:
    """The name server says that the host does not exist."""
    namespace = await world.namespace()
    return await look_up(world, NameServer(namespace, NAME_SERVER, rcode=NXDOMAIN), namespace=namespace)


@provokes("DNS_NO_ADDRESS", confidence=CERTAIN)
async def dns_no_data(world: World) -> list[Line]:
    """The host exists and has no address."""
    namespace = await world.namespace()
    return await look_up(world, NameServer(namespace, NAME_SERVER), namespace=namespace)


@provokes("DNS_NO_ADDRESS", confidence=CERTAIN)
async def dns_servfail(world: World) -> list[Line]:
    """The name server says that it failed."""
    namespace = await world.namespace()
    return await look_up(world, NameServer(namespace, NAME_SERVER, rcode=SERVFAIL), namespace=namespace)


@provokes("DNS_NO_ADDRESS", confidence=CERTAIN)
async def dns_refused(world: World) -> list[Line]:
    """The name server refuses to answer."""
    namespace = await world.namespace()
    return await look_up(world, NameServer(namespace, NAME_SERVER, rcode=REFUSED), namespace=namespace)


@provokes("DNS_TIMEOUT", confidence=LIKELY)
async def dns_silent(world: World) -> list[Line]:
    """The name server takes questions and never answers."""
    namespace = await world.namespace()
    return await look_up(world, NameServer(namespace, NAME_SERVER, silent=True), namespace=namespace)


# --- TCP and TLS ----------------------------------------------------------------------------------------------


@provokes("CONNECT_REFUSED", confidence=CERTAIN)
async def connect_refused(world: World) -> list[Line]:
    """Nobody listens on the signaling port."""
    namespace = await world.namespace()
    return await world.lines(namespace, opening())


@provokes("CONNECT_TIMEOUT", confidence=LIKELY)
async def connect_silent(world: World) -> list[Line]:
    """A firewall swallows the SYNs to the signaling port."""
    namespace = await world.namespace()
    await namespace.drop("tcp dport 8080")
    return await world.lines(namespace, opening(connectTimeoutMs=1000))


@provokes("CONNECT_TIMEOUT", confidence=LIKELY)
async def upgrade_silent(world: World) -> list[Line]:
    """The server accepts TCP and never answers the upgrade."""
    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, hang))
    return await world.lines(namespace, opening(handshakeTimeoutMs=1000))


@provokes("CONNECT_TIMEOUT", confidence=LIKELY)
async def tls_silent(world: World) -> list[Line]:
    """The server accepts TCP and never answers the TLS ClientHello."""
    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, hang))
    return await world.lines(namespace, opening(scheme="wss", handshakeTimeoutMs=1000))


async def self_signed(folder: Path) -> Path:
    """A fresh certificate with its key, in PEM, signed by itself."""
    path = folder / "certificate.pem"
    await command(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", "/CN=softphones.example", "-addext", f"subjectAltName=IP:{LAB}", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(path), "-out", f"{path}.chain"),
    )
    path.write_text(path.read_text() + Path(f"{path}.chain").read_text())
    return path


async def server_tls(world: World) -> ssl.SSLContext:
    """TLS of a server whose certificate nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(await self_signed(world.folder))
    return context


@provokes("TLS_ALERT", confidence=CERTAIN)
async def tls_without_common_cipher(world: World) -> list[Line]:
    """The server offers only what is no longer considered safe, and says so by an alert."""
    namespace = await world.namespace()
    context = await server_tls(world)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA")
    await world.enter(AlertingServer(namespace, LAB, context))
    return await world.lines(namespace, opening(scheme="wss", trust="all"))


@provokes("TLS_ALERT", confidence=CERTAIN)
async def tls_client_certificate_missing(world: World) -> list[Line]:
    """The server wants a client certificate and gets none."""
    namespace = await world.namespace()
    context = await server_tls(world)
    context.verify_mode = ssl.CERT_REQUIRED
    await world.enter(AlertingServer(namespace, LAB, context))
    return await world.lines(namespace, opening(scheme="wss", trust="all"), holding_socket(3000))


@provokes("TLS_FAILED", confidence=CERTAIN)
async def tls_unknown_issuer(world: World) -> list[Line]:
    """The server's certificate is signed by nobody we trust."""
    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, accepting(converse), tls=await server_tls(world)))
    return await world.lines(namespace, opening(scheme="wss"))


@provokes("TLS_FAILED", confidence=CERTAIN)
async def tls_on_a_plain_port(world: World) -> list[Line]:
    """The port speaks HTTP and no TLS."""

    async def plain(line: Connection) -> None:
        await line.reader.read(1)
        await line.respond("400 Bad Request")

    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, plain))
    return await world.lines(namespace, opening(scheme="wss"))


# --- The upgrade ----------------------------------------------------------------------------------------------


def refusing(status: str, *headers: str, body: str = "") -> Behaviour:
    """Answers the upgrade with this status."""

    async def behave(line: Connection) -> None:
        await line.request()
        await line.respond(status, *headers, body=body)

    return behave


async def refused_upgrade(world: World, status: str, *headers: str, body: str = "") -> list[Line]:
    """Opens a WebSocket that is refused."""
    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, refusing(status, *headers, body=body)))
    return await world.lines(namespace, opening())


@provokes("UPGRADE_UNAUTHORIZED", confidence=CERTAIN)
async def upgrade_401(world: World) -> list[Line]:
    """The upgrade is answered with 401."""
    return await refused_upgrade(world, "401 Unauthorized", 'WWW-Authenticate: Bearer error="invalid_token"')


@provokes("UPGRADE_UNAUTHORIZED", confidence=CERTAIN)
async def upgrade_403(world: World) -> list[Line]:
    """The upgrade is answered with 403."""
    return await refused_upgrade(world, "403 Forbidden")


@provokes("UPGRADE_RATE_LIMITED", confidence=CERTAIN)
async def upgrade_429(world: World) -> list[Line]:
    """The upgrade is answered with 429 and a time to wait."""
    return await refused_upgrade(world, "429 Too Many Requests", "Retry-After: 30")


@provokes("UPGRADE_RATE_LIMITED", confidence=CERTAIN)
async def upgrade_503(world: World) -> list[Line]:
    """The upgrade is answered with 503 and a time to wait."""
    return await refused_upgrade(world, "503 Service Unavailable", "Retry-After: 7")


@provokes("UPGRADE_REFUSED", confidence=CERTAIN)
async def upgrade_redirected(world: World) -> list[Line]:
    """The upgrade is answered with a redirect."""
    return await refused_upgrade(world, "302 Found", "Location: https://login.example/")


@provokes("UPGRADE_REFUSED", confidence=CERTAIN)
async def upgrade_200(world: World) -> list[Line]:
    """The path is a web page."""
    return await refused_upgrade(world, "200 OK", "Content-Type: text/html", body="<html>welcome</html>")


@provokes("WEBSOCKET_PROTOCOL", confidence=CERTAIN)
async def upgrade_not_http(world: World) -> list[Line]:
    """The port speaks something that is no HTTP."""

    async def greet(line: Connection) -> None:
        await line.write(b"220 mail.example ESMTP ready\r\n")
        await hang(line)

    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, greet))
    return await world.lines(namespace, opening())


@provokes("WEBSOCKET_PROTOCOL", confidence=CERTAIN)
async def upgrade_with_another_key(world: World) -> list[Line]:
    """The upgrade is accepted for another key than ours, as a cache does."""

    async def cached(line: Connection) -> None:
        await line.request()
        await line.accept(key="c29tZWJvZHkgZWxzZSdzIQ==")
        await converse(line)

    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, cached))
    return await world.lines(namespace, opening())


# --- Ends of an open socket -----------------------------------------------------------------------------------


async def ended_socket(world: World, end: Behaviour, **config: object) -> list[Line]:
    """Opens a WebSocket and holds it until the server ends it."""
    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, accepting(end)))
    return await world.lines(namespace, opening(**config), holding_socket(15_000))


def closing(code: int | None, reason: str = "") -> Behaviour:
    """Closes with this status after a moment."""

    async def behave(line: Connection) -> None:
        await asyncio.sleep(0.1)
        await line.close(code, reason)

    return behave


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_1008(world: World) -> list[Line]:
    """The server closes for a violation of its policy."""
    return await ended_socket(world, closing(1008, "token expired"))


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_1011(world: World) -> list[Line]:
    """The server closes for an error of its own."""
    return await ended_socket(world, closing(1011))


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_1013(world: World) -> list[Line]:
    """The server closes and asks to come later."""
    return await ended_socket(world, closing(1013, "try again later"))


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_4001(world: World) -> list[Line]:
    """The server closes with a status of its application."""
    return await ended_socket(world, closing(4001, "session ended"))


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_without_status(world: World) -> list[Line]:
    """The server closes and says no status."""
    return await ended_socket(world, closing(None))


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_1006_on_the_wire(world: World) -> list[Line]:
    """The server sends the status that must never be sent."""

    async def close(line: Connection) -> None:
        await asyncio.sleep(0.1)
        await line.send(CLOSE, (1006).to_bytes(2, "big"))
        await hang(line)

    return await ended_socket(world, close)


@provokes("CLOSED_BY_FIN", confidence=CERTAIN)
async def cut_by_fin(world: World) -> list[Line]:
    """The server ends TCP without a close frame."""

    async def finish(line: Connection) -> None:
        await asyncio.sleep(0.1)
        line.finish()

    return await ended_socket(world, finish)


@provokes("CLOSED_BY_FIN", confidence=CERTAIN)
async def cut_when_idle(world: World) -> list[Line]:
    """A load balancer cuts a socket that was idle for a second."""
    namespace = await world.namespace()
    await world.lab(namespace, idleCutMs=1000)
    return await world.lines(namespace, opening(), holding_socket(15_000))


@provokes("CLOSED_BY_RESET", confidence=CERTAIN)
async def cut_by_reset(world: World) -> list[Line]:
    """The server resets TCP."""

    async def reset(line: Connection) -> None:
        await asyncio.sleep(0.1)
        line.reset()

    return await ended_socket(world, reset)


@provokes("CLOSED_HALF_OPEN", confidence=CERTAIN)
async def half_open(world: World) -> list[Line]:
    """The path goes away under an open socket, and nobody says so."""
    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, accepting(converse)))
    phone = await world.softphone(namespace, opening(pingIntervalMs=300, pingTimeoutMs=1500), holding_socket(15_000))
    opened = await phone.line(20)
    await namespace.drop("tcp sport 8080", "tcp dport 8080")
    return [line for line in [opened, *await phone.lines(30)] if line]


@provokes("WEBSOCKET_PROTOCOL", confidence=CERTAIN)
async def frame_of_a_reserved_kind(world: World) -> list[Line]:
    """The server sends a frame with a reserved opcode."""

    async def break_it(line: Connection) -> None:
        await asyncio.sleep(0.1)
        await line.write(b"\x8b\x00")
        await hang(line)

    return await ended_socket(world, break_it)


# --- The messages ---------------------------------------------------------------------------------------------


@provokes("SIGNALING_TIMEOUT", confidence=LIKELY)
async def never_answered(world: World) -> list[Line]:
    """The other side takes the offer and never answers it."""
    namespace = await world.namespace()
    await world.lab(namespace, faults={"neverAnswer": True})
    return await world.lines(namespace, opening(), calling(answerTimeoutMs=1000))


@provokes("SIGNALING_REFUSED", confidence=CERTAIN)
async def unknown_callee(world: World) -> list[Line]:
    """Nobody of that name is registered."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(namespace, opening(), calling("nobody"))


@provokes("CLOSED_BY_SERVER", confidence=CERTAIN)
async def closed_before_the_answer(world: World) -> list[Line]:
    """The signaling WebSocket is closed while the answer is awaited: that is no ICE failure."""
    namespace = await world.namespace()
    await world.lab(namespace, faults={"neverAnswer": True, "closeAfterMs": 700, "closeCode": 1012})
    return await world.lines(namespace, opening(), calling())


@provokes("CANCELLED", confidence=CERTAIN)
async def closed_by_the_plan(world: World) -> list[Line]:
    """The plan closes its signaling WebSocket and calls over it."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(namespace, opening(), {"do": "close", "socket": "ws"}, calling())


@provokes("CONFIG", confidence=CERTAIN)
async def source_address_of_another_machine(world: World) -> list[Line]:
    """The configured source address is none of this machine."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(namespace, opening(), calling(sourceAddress="192.0.2.99"))


@provokes("DUPLICATE_IDENTITY", confidence=CERTAIN)
async def registered_twice(world: World) -> list[Line]:
    """Two sockets register the same user, and the server refuses the second."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(
        namespace, opening(), registering("agent-7"), opening(socket="again"), registering("agent-7", "again")
    )


@provokes("DUPLICATE_IDENTITY", confidence=LIKELY, also=("CLOSED_BY_SERVER",))
async def put_out_by_another_login(world: World) -> list[Line]:
    """The same user registers again, and the server closes the first socket."""
    first: list[Connection] = []

    async def one_place_per_user(line: Connection) -> None:
        while (frame := await line.frame()) is not None:
            opcode, payload = frame
            if opcode == CLOSE:
                await line.send(CLOSE, payload)
                return
            message = json.loads(payload) if opcode == 1 else {}
            if message.get("type") == "register":
                await line.say({"type": "registered", "name": message["name"]})
                # A login counts from its answer, which is another socket's affair and may be read later than the close.
                await asyncio.sleep(1)
                for other in first:
                    await other.send(CLOSE, (4000).to_bytes(2, "big"))
                first.append(line)

    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, accepting(one_place_per_user)))
    return await world.lines(
        namespace, opening(), registering("agent-7"), opening(socket="again"), registering("agent-7", "again"), holding_socket(5000)
    )


@provokes("DUPLICATE_IDENTITY", confidence=CERTAIN)
async def registered_by_another_worker(world: World) -> list[Line]:
    """Two generators register the same user, and the server refuses the second."""
    namespace = await world.namespace()
    await world.lab(namespace)
    other = await world.softphone(namespace, opening(), registering("agent-7"), holding_socket(20_000))
    for _ in range(2):
        await other.line(20)
    said = await world.lines(namespace, opening(), registering("agent-7"))
    told(said, "look at the other workers")
    return said


@provokes("DUPLICATE_IDENTITY", confidence=LIKELY, also=("CLOSED_BY_SERVER",))
async def put_out_by_another_worker(world: World) -> list[Line]:
    """The server closes a generator's socket and says that its user has logged in elsewhere."""

    async def say_so(line: Connection) -> None:
        await line.send(CLOSE, (4000).to_bytes(2, "big") + b"logged in at another location")

    namespace = await world.namespace()
    await world.enter(Server(namespace, LAB, accepting(say_so)))
    said = await world.lines(namespace, opening(), holding_socket(5000))
    told(said, "look at the other workers")
    return said
