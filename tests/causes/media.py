"""DTLS, media, and connections that were up: dropped, forged, one-way, lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct

from tests.causes.ice import changing_sdp, meddled
from tests.causes.namespaces import Namespace
from tests.causes.programs import Line, Program
from tests.causes.provocations import CERTAIN, LIKELY, provokes
from tests.causes.web_sockets import Meddler, Meddling
from tests.causes.world import LAB, MEDDLER, PHONE, World, calling, hanging_up, holding_call, opening, until

# What a datagram is, by the first byte of its payload (RFC 7983); the UDP header has 64 bits.
IS_STUN, IS_DTLS, IS_RTP = "@th,64,8 0-3", "@th,64,8 20-63", "@th,64,8 128-191"
TO_PHONE, TO_LAB = f"ip daddr {PHONE} meta l4proto udp", f"ip daddr {LAB} meta l4proto udp"
#: A loss is found out by the missing consent: 30 s (RFC 7675), and a margin.
UNTIL_LOST_MS = 75_000


async def dropping(world: World, *matches: str, **config: object) -> list[Line]:
    """A call during which this is dropped from the beginning."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(*matches)
    return await world.lines(namespace, opening(), calling(**{"connectTimeoutMs": 7000, **config}))


# --- DTLS -----------------------------------------------------------------------------------------------------


@provokes("DTLS_SILENT", confidence=CERTAIN)
async def dtls_dropped(world: World) -> list[Line]:
    """ICE connects, and a firewall drops all DTLS."""
    return await dropping(world, f"{TO_PHONE} {IS_DTLS}", f"{TO_LAB} {IS_DTLS}")


@provokes("DTLS_SILENT", confidence=CERTAIN)
async def dtls_dropped_one_way(world: World) -> list[Line]:
    """ICE connects, and the other side's DTLS does not reach us."""
    return await dropping(world, f"{TO_PHONE} {IS_DTLS}")


@provokes("DTLS_FAILED", confidence=LIKELY)
async def dtls_large_records_dropped(world: World) -> list[Line]:
    """The path passes small datagrams and loses the ones with certificates."""
    return await dropping(world, f"{TO_PHONE} {IS_DTLS} meta length > 300", f"{TO_LAB} {IS_DTLS} meta length > 300")


FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)


def another_fingerprint(line: str) -> str:
    """A fingerprint of no certificate of this call."""
    return FINGERPRINT if line.startswith("a=fingerprint:") else line


@provokes("DTLS_FINGERPRINT", confidence=CERTAIN)
async def fingerprint_of_another_answer(world: World) -> list[Line]:
    """The answer has the fingerprint of another certificate than the other side shows."""
    return await meddled(world, changing_sdp("in", another_fingerprint), connectTimeoutMs=5000)


@provokes("DTLS_FINGERPRINT", confidence=CERTAIN)
async def fingerprint_of_another_offer(world: World) -> list[Line]:
    """The other side got the fingerprint of another certificate than ours."""
    return await meddled(world, changing_sdp("out", another_fingerprint), connectTimeoutMs=5000)


def candidate_ports(ports: dict[str, int]) -> tuple[Meddling, asyncio.Event]:
    """Notes the ports of both sides' candidates under `out` (ours) and `in`; the event says that both are known."""
    both_known = asyncio.Event()

    async def listen(going: str, message: Line) -> list[Line]:
        texts = message.get("sdp", "").split("\r\n")
        if message.get("type") == "candidate":
            texts.append(message["candidate"]["candidate"])
        for text in texts:
            fields = text.removeprefix("a=").split(" ")
            if fields[0].startswith("candidate:") and len(fields) > 7:
                ports[going] = int(fields[5])
        if len(ports) == 2:
            both_known.set()
        return [message]

    return listen, both_known


@provokes("DTLS_ALERT", confidence=CERTAIN)
async def dtls_alert(world: World) -> list[Line]:
    """The other side ends the handshake with handshake_failure."""
    namespace = await world.namespace()
    await world.lab(namespace)
    # Real DTLS of the lab stays away; the alert goes by a mark.
    forged = 7
    await namespace.drop(f"{TO_PHONE} {IS_DTLS} meta mark != {forged}")
    ports: dict[str, int] = {}
    listen, both_known = candidate_ports(ports)

    async def client_hello() -> bool:
        return await namespace.dropped() > 0

    async def forge() -> None:
        await both_known.wait()
        # Before the handshake began an alert would be about nothing.
        await until(client_hello, 20, "the other side's ClientHello")
        raw = await namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, forged)
            sequence = 0
            while True:
                await asyncio.sleep(0.1)
                sequence += 1
                # Content type alert, DTLS 1.2, epoch 0: fatal, handshake_failure.
                record = struct.pack("!BHHHIH", 21, 0xFEFD, 0, 0, sequence, 2) + bytes([2, 40])
                raw.sendto(_udp(LAB, ports["in"], PHONE, ports["out"], record), (PHONE, 0))

    await world.enter(Meddler(namespace, MEDDLER, LAB, listen))
    forging = asyncio.create_task(forge())
    try:
        return await world.lines(namespace, opening(MEDDLER), calling(connectTimeoutMs=5000))
    finally:
        forging.cancel()
        await asyncio.gather(forging, return_exceptions=True)


def _udp(source: str, source_port: int, destination: str, port: int, payload: bytes) -> bytes:
    """An IPv4 datagram; the kernel fills in its checksum, and UDP's may be left out."""
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(destination) + udp


# --- Media ----------------------------------------------------------------------------------------------------


@provokes("MEDIA_NONE_IN", confidence=CERTAIN)
async def media_dropped_on_the_way_in(world: World) -> list[Line]:
    """Everything connects, and no RTP comes in."""
    return await dropping(world, f"{TO_PHONE} {IS_RTP}", firstRtpTimeoutMs=5000)


@provokes("MEDIA_NONE_IN", confidence=(CERTAIN, LIKELY))
async def other_side_does_not_send(world: World) -> list[Line]:
    """The other side is an echo and hears nothing, so it says nothing."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(namespace, opening(), calling("echo", sendAudio=False, firstRtpTimeoutMs=1500))


@provokes("MEDIA_NONE_OUT", confidence=CERTAIN)
async def media_dropped_on_the_way_out(world: World) -> list[Line]:
    """The other side hears nothing of what we send."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(f"{TO_LAB} {IS_RTP}")
    return await world.lines(namespace, opening(), calling(), holding_call(6000), hanging_up())


# --- Losses ---------------------------------------------------------------------------------------------------


async def up(world: World, namespace: Namespace, *steps: Line, calls: int = 1) -> tuple[Program, list[Line]]:
    """A softphone whose calls are up."""
    phone = await world.softphone(namespace, *steps)
    said = []
    for _ in range(1 + calls):
        line = await phone.line(30)
        if line is None:
            break
        said.append(line)
    return phone, said


async def lost(world: World, *matches: str) -> list[Line]:
    """A call that is up when something begins to be dropped."""
    namespace = await world.namespace()
    await world.lab(namespace)
    phone, said = await up(world, namespace, opening(), calling(), holding_call(UNTIL_LOST_MS))
    await namespace.drop(*matches)
    return said + await phone.lines(UNTIL_LOST_MS / 1000 + 20)


@provokes("CONSENT_LOST_PATH", confidence=LIKELY, slow=True)
async def path_lost(world: World) -> list[Line]:
    """All UDP is dropped from one moment on."""
    return await lost(world, TO_PHONE, TO_LAB)


@provokes("CONSENT_LOST_PEER", confidence=LIKELY, slow=True)
async def consent_answers_lost(world: World) -> list[Line]:
    """Media goes on, and the other side's ICE answers no more."""
    return await lost(world, f"{TO_PHONE} {IS_STUN}", f"{TO_LAB} {IS_STUN}")


@provokes("CONSENT_LOST_PEER", confidence=CERTAIN, slow=True)
async def peer_killed(world: World) -> list[Line]:
    """The other side's process is killed: its port is closed."""
    namespace = await world.namespace()
    lab = await world.lab(namespace)
    phone, said = await up(world, namespace, opening(), calling(), holding_call(UNTIL_LOST_MS))
    lab.signal(signal.SIGKILL)
    return said + await phone.lines(UNTIL_LOST_MS / 1000 + 20)


async def without_farewell(going: str, message: Line) -> list[Line]:
    """Keeps the other side's good-bye away: it may notice a loss before we do."""
    return [] if going == "in" and message.get("type") == "bye" else [message]


@provokes("CONSENT_LOST_TOGETHER", confidence=LIKELY, also=("CONSENT_LOST_PATH",), slow=True)
async def many_lost_at_once(world: World) -> list[Line]:
    """Six calls of one generator lose the path in the same moment."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(Meddler(namespace, MEDDLER, LAB, without_farewell))
    names = [f"call-{number}" for number in range(6)]
    steps = [opening(MEDDLER), *(calling(session=name) for name in names), {"do": "wait", "ms": 34_000}, *(holding_call(UNTIL_LOST_MS, name) for name in names)]
    phone, said = await up(world, namespace, *steps, calls=len(names))
    await namespace.drop(TO_PHONE, TO_LAB)
    return said + await phone.lines(UNTIL_LOST_MS / 1000 + 60)


@provokes("CONSENT_LOST_GENERATOR", "GEN_CPU_STARVED", slow=True)
async def generator_stopped(world: World) -> list[Line]:
    """The generator does nothing for longer than consent lasts."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(Meddler(namespace, MEDDLER, LAB, without_farewell))
    phone, said = await up(world, namespace, opening(MEDDLER), calling(), holding_call(UNTIL_LOST_MS))
    await phone.stop()
    await asyncio.sleep(36)
    phone.signal(signal.SIGCONT)
    return said + await phone.lines(UNTIL_LOST_MS / 1000 + 20)


@provokes("ENDED_BY_PEER", confidence=CERTAIN)
async def peer_hangs_up(world: World) -> list[Line]:
    """The other side hangs up."""
    namespace = await world.namespace()
    lab = await world.lab(namespace)
    phone, said = await up(world, namespace, opening(), calling(), holding_call(20_000))
    lab.signal(signal.SIGTERM)
    return said + await phone.lines(40)

