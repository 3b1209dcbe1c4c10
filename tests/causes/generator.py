"""Limits of the generator itself: ports, files, buffers, CPU."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from pathlib import Path

from tests.causes import cpu_quota
from tests.causes.cpu_quota import CpuQuota
from tests.causes.media import IS_RTP, TO_PHONE, candidate_ports
from tests.causes.namespaces import Namespace
from tests.causes.programs import Coturn, Line, Program
from tests.causes.provocations import CERTAIN, LIKELY, provokes, told
from tests.causes.web_sockets import Meddler, Server, hang
from tests.causes.world import LAB, MEDDLER, PHONE, TURN, World, calling, opening, turn, until

#: The time to connect counts from when the softphone is through with sending its offer, which the other side may have sooner.
OFFER_SENT_S = 0.6
TO_TURN = f"ip daddr {TURN} meta l4proto udp"
NO_FILE_LEFT = Path(__file__).with_name("no_file_left.py")


@provokes("GEN_UDP_PORTS", confidence=CERTAIN)
async def udp_ports_in_use(world: World) -> list[Line]:
    """Every UDP port of the range has a socket."""
    ports = range(42_000, 42_016)
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.sysctl(net__ipv4__ip_local_port_range=f"{ports.start} {ports.stop - 1}")
    with contextlib.ExitStack() as held:
        for port in ports:
            holder = held.enter_context(await namespace.socket(socket.AF_INET, socket.SOCK_DGRAM))
            holder.bind((PHONE, port))
        return await world.lines(namespace, opening(), calling())


async def all_tcp_ports(namespace: Namespace, ports: range, closed: bool) -> list[socket.socket]:
    """Connections from the phone's address that take every local port towards the server; `closed` leaves them in TIME_WAIT."""
    loop = asyncio.get_running_loop()
    held = []
    for port in ports:
        connection = await namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.bind((PHONE, port))
        await loop.sock_connect(connection, (LAB, 8080))
        held.append(connection)
    if closed:
        for connection in held:
            connection.close()
        return []
    return held


async def no_tcp_port(world: World, closed: bool) -> list[Line]:
    """Opens a WebSocket when no local port is left."""
    ports = range(41_000, 41_012)
    namespace = await world.namespace()
    await namespace.sysctl(net__ipv4__ip_local_port_range=f"{ports.start} {ports.stop - 1}", net__ipv4__tcp_tw_reuse="0")
    await world.enter(Server(namespace, LAB, hang))
    held = await all_tcp_ports(namespace, ports, closed)
    try:
        await asyncio.sleep(0.1)
        return await world.lines(namespace, opening())
    finally:
        for connection in held:
            connection.close()


@provokes("GEN_TCP_PORTS", confidence=(CERTAIN, LIKELY))
async def tcp_ports_in_use(world: World) -> list[Line]:
    """All local TCP ports towards the server have a connection."""
    return await no_tcp_port(world, closed=False)


@provokes("GEN_TCP_PORTS", confidence=(CERTAIN, LIKELY))
async def tcp_ports_in_time_wait(world: World) -> list[Line]:
    """All local TCP ports towards the server are in TIME_WAIT, as after a WebSocket per iteration."""
    return await no_tcp_port(world, closed=True)


@provokes("GEN_FDS", confidence=CERTAIN)
async def no_descriptor_for_a_call(world: World) -> list[Line]:
    """The process may open no more files when the call wants its socket."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(namespace, opening(), {"do": "noDescriptors"}, calling())


@provokes("GEN_FDS", confidence=CERTAIN)
async def no_descriptor_for_a_socket(world: World) -> list[Line]:
    """The process may open no more files when it wants a WebSocket."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await world.lines(namespace, opening(), {"do": "noDescriptors"}, opening(socket="second"))


@provokes("GEN_FDS", confidence=CERTAIN)
async def no_file_left_on_the_machine(world: World) -> list[Line]:
    """The machine may open no more files when it wants a WebSocket."""
    namespace = await world.namespace()
    await world.lab(namespace)
    phone = await world.softphone(namespace, opening(), through=(sys.executable, str(NO_FILE_LEFT)))
    said = await phone.lines(20)
    told(said, "this machine may open no more files")
    return said


@provokes("GEN_RECEIVE_BUFFER", confidence=(CERTAIN, LIKELY))
async def receive_buffer_overflows(world: World) -> list[Line]:
    """More arrives at the call's socket than its receive buffer holds while nobody reads."""
    namespace = await world.namespace()
    await world.lab(namespace)
    ports: dict[str, int] = {}
    listen, both_known = candidate_ports(ports)
    await world.enter(Meddler(namespace, MEDDLER, LAB, listen))
    # No RTP gets through before the flood, so that its first packet is what is waited for.
    await namespace.drop(f"{TO_PHONE} {IS_RTP}")
    phone = await world.softphone(namespace, opening(MEDDLER), calling(firstRtpTimeoutMs=2500))
    opened = await phone.line(20)
    await asyncio.wait_for(both_known.wait(), 20)

    async def media_come() -> bool:
        return await namespace.dropped() > 0

    await until(media_come, 20, "the other side's media")
    await asyncio.sleep(0.3)
    await phone.stop()
    flood = await namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with flood:
        flood.bind((LAB, 0))
        for _ in range(4000):
            # Bytes of no protocol that ends anywhere.
            flood.sendto(b"\xff" * 900, (PHONE, ports["out"]))
        for _ in range(100):
            # Less than a packet of audio, so that none finds room in what is left.
            flood.sendto(b"\xff", (PHONE, ports["out"]))
    # Media reach the full buffer for as long as they are awaited; none comes after that.
    await namespace.pass_everything()
    await asyncio.sleep(2.5)
    await namespace.drop(f"{TO_PHONE} {IS_RTP}")
    phone.signal(signal.SIGCONT)
    return [line for line in [opened, *await phone.lines(40)] if line]


@provokes("GEN_CPU_STARVED", confidence=LIKELY, starved=True)
async def starved_while_connecting(world: World) -> list[Line]:
    """The generator gets no CPU while its call should connect."""
    namespace = await world.namespace()
    await world.lab(namespace)
    phones: list[Program] = []

    async def stop_before_the_answer(going: str, message: Line) -> list[Line]:
        if going == "in" and message.get("type") == "answer":
            await asyncio.sleep(OFFER_SENT_S)
            await phones[0].stop()
        return [message]

    await world.enter(Meddler(namespace, MEDDLER, LAB, stop_before_the_answer))
    phones.append(await world.softphone(namespace, opening(MEDDLER), calling(connectTimeoutMs=2000)))
    opened = await phones[0].line(20)
    await asyncio.sleep(4)
    phones[0].signal(signal.SIGCONT)
    return [line for line in [opened, *await phones[0].lines(40)] if line]


@provokes("GEN_CPU_STARVED", confidence=LIKELY, starved=True, impossible=cpu_quota.why_impossible())
async def held_back_by_a_cpu_quota(world: World) -> list[Line]:
    """The generator's container has used up its CPU quota while its call should connect."""
    namespace = await world.namespace()
    await world.lab(namespace)
    quota = await world.enter(CpuQuota(namespace.name))

    async def take_the_cpu_before_the_answer(going: str, message: Line) -> list[Line]:
        if going == "in" and message.get("type") == "answer":
            await asyncio.sleep(OFFER_SENT_S)
            quota.allow(0.001)
        return [message]

    await world.enter(Meddler(namespace, MEDDLER, LAB, take_the_cpu_before_the_answer))
    phone = await world.softphone(namespace, opening(MEDDLER), calling(connectTimeoutMs=2000), through=quota.through)
    opened = await phone.line(20)
    await asyncio.sleep(4)
    quota.allow(None)
    said = [line for line in [opened, *await phone.lines(40)] if line]
    told(said, "CPU quota")
    return said


@provokes("TURN_CREDENTIALS_REJECTED", confidence=CERTAIN, also=("GEN_CPU_STARVED",), starved=True)
async def rejected_on_a_starved_machine(world: World) -> list[Line]:
    """Two faults at once: TURN rejects the credentials, and the generator has no CPU."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(Coturn(namespace, world.folder, TURN))
    placed = calling(ice_servers=[turn(credential="wrong")], iceTransportPolicy="relay", gatherTimeoutMs=12_000, connectTimeoutMs=20_000)
    # The rejection ends the call at once: the server has to be out of reach until the generator has stood still within the call.
    await namespace.drop(TO_TURN)
    phone = await world.softphone(namespace, opening(), placed)
    opened = await phone.line(20)

    async def allocation_asked_for() -> bool:
        return await namespace.dropped() > 0

    await until(allocation_asked_for, 20, "the request for an allocation")
    await phone.stop()
    await namespace.pass_everything()
    await asyncio.sleep(1)
    phone.signal(signal.SIGCONT)
    return [line for line in [opened, *await phone.lines(40)] if line]


@provokes("MEDIA_NONE_IN", confidence=CERTAIN, also=("GEN_CPU_STARVED",), starved=True)
async def no_media_on_a_starved_machine(world: World) -> list[Line]:
    """Two faults at once: no RTP comes in, and the generator has no CPU, but reads its socket."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(f"{TO_PHONE} {IS_RTP}")
    phone = await world.softphone(namespace, opening(), calling(firstRtpTimeoutMs=6000))
    opened = await phone.line(20)

    async def media_come() -> bool:
        return await namespace.dropped() > 0

    await until(media_come, 20, "the other side's media")
    await in_bursts(phone, seconds=6)
    return [line for line in [opened, *await phone.lines(40)] if line]


async def in_bursts(phone: Program, seconds: float) -> None:
    """Lets a program run for a tenth of its time only, in turns of half a second."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while clock() < until:
        await phone.stop()
        await asyncio.sleep(0.45)
        phone.signal(signal.SIGCONT)
        await asyncio.sleep(0.05)
