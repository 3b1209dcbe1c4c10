"""Limits of the generator itself: ports, files, buffers, CPU."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket

from tests.causes.media import IS_RTP, TO_PHONE, candidate_ports
from tests.causes.namespaces import Namespace
from tests.causes.programs import Coturn, Line, Program
from tests.causes.provocations import CERTAIN, LIKELY, provokes
from tests.causes.web_sockets import Meddler, Server, hang
from tests.causes.world import LAB, MEDDLER, PHONE, TURN, World, calling, opening, turn


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
    await asyncio.sleep(1.2)
    phone.signal(signal.SIGSTOP)
    flood = await namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with flood:
        flood.bind((LAB, 0))
        for _ in range(4000):
            # Bytes of no protocol that ends anywhere.
            flood.sendto(b"\xff" * 900, (PHONE, ports["out"]))
    await namespace.pass_everything()
    await asyncio.sleep(2)
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
            # The offer's time counts from when the softphone is through with sending it.
            await asyncio.sleep(0.1)
            phones[0].signal(signal.SIGSTOP)
        return [message]

    await world.enter(Meddler(namespace, MEDDLER, LAB, stop_before_the_answer))
    phones.append(await world.softphone(namespace, opening(MEDDLER), calling(connectTimeoutMs=1500)))
    opened = await phones[0].line(20)
    await asyncio.sleep(3)
    phones[0].signal(signal.SIGCONT)
    return [line for line in [opened, *await phones[0].lines(40)] if line]


@provokes("TURN_CREDENTIALS_REJECTED", confidence=CERTAIN, also=("GEN_CPU_STARVED",), starved=True)
async def rejected_on_a_starved_machine(world: World) -> list[Line]:
    """Two faults at once: TURN rejects the credentials, and the generator has no CPU."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(Coturn(namespace, world.folder, TURN))
    steps = [opening(), calling(ice_servers=[turn(credential="wrong")], iceTransportPolicy="relay", connectTimeoutMs=5000)]
    phone = await world.softphone(namespace, *steps)
    opened = await phone.line(20)
    await in_bursts(phone, seconds=4)
    return [line for line in [opened, *await phone.lines(40)] if line]


async def in_bursts(phone: Program, seconds: float) -> None:
    """Lets a program run for a tenth of its time only, in turns of half a second."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while clock() < until:
        phone.signal(signal.SIGSTOP)
        await asyncio.sleep(0.45)
        phone.signal(signal.SIGCONT)
        await asyncio.sleep(0.05)
