"""STUN and TURN servers: silent, closed, refusing, full, elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal
import socket
import time

from tests.causes.media import UNTIL_LOST_MS, up
from tests.causes.name_server import NXDOMAIN, NameServer
from tests.causes.namespaces import Namespace
from tests.causes.programs import Coturn, Line
from tests.causes.provocations import CERTAIN, LIKELY, provokes
from tests.causes.stun_server import ALTERNATE_SERVER, StunServer, attribute, refusing
from tests.causes.world import LAB, OTHER_PHONE, TURN, World, calling, holding_call, opening, stun, turn

NAME_SERVER = "127.0.0.53"
#: Gathering that is to fail by silence is given up after this long.
GATHER = {"gatherTimeoutMs": 2500, "connectTimeoutMs": 4000}


async def relayed(world: World, namespace: Namespace, *servers: Line, resolving: bool = False, **config: object) -> list[Line]:
    """A call that may only go through a relay."""
    # A refusal ends the call at once; the time is for servers of a machine that is busy.
    chosen = {"iceTransportPolicy": "relay", "gatherTimeoutMs": 12_000, "connectTimeoutMs": 20_000, **config}
    steps = [opening(), calling(ice_servers=list(servers), **chosen), holding_call(200)]
    return await world.lines(namespace, *steps, resolving=resolving)


async def coturn(world: World, *options: str, users: bool = True, **config: object) -> tuple[Namespace, Coturn]:
    """A namespace with a lab and a TURN server."""
    namespace = await world.namespace()
    await world.lab(namespace, **config)
    return namespace, await world.enter(Coturn(namespace, world.folder, TURN, *options, users=users))


# --- STUN -----------------------------------------------------------------------------------------------------


@provokes("STUN_SILENT", confidence=LIKELY, also=("ICE_CHECKS_UNANSWERED",))
async def stun_silent(world: World) -> list[Line]:
    """UDP is dropped on the way: the STUN server is silent and no check is answered."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(StunServer(namespace, TURN, lambda _: None))
    await namespace.drop(f"ip daddr {{ {LAB}, {TURN} }} meta l4proto udp")
    return await world.lines(namespace, opening(), calling(ice_servers=[stun(TURN)], **GATHER))


@provokes("STUN_PORT_CLOSED", confidence=CERTAIN)
async def stun_port_closed(world: World) -> list[Line]:
    """Nothing listens on the STUN port, and no check is answered."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(f"ip daddr {LAB} meta l4proto udp")
    return await world.lines(namespace, opening(), calling(ice_servers=[stun(TURN)], **GATHER))


@provokes("DNS_NXDOMAIN", confidence=CERTAIN)
async def stun_name_unknown(world: World) -> list[Line]:
    """The TURN server's name does not exist, and only a relay may be used."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(NameServer(namespace, NAME_SERVER, rcode=NXDOMAIN))
    namespace.name_servers(NAME_SERVER)
    return await relayed(world, namespace, turn("relay.example"), resolving=True)


@provokes("DNS_TIMEOUT", confidence=(CERTAIN, LIKELY))
async def stun_name_server_silent(world: World) -> list[Line]:
    """The name server does not answer for the TURN server's name."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(NameServer(namespace, NAME_SERVER, silent=True))
    namespace.name_servers(NAME_SERVER)
    return await relayed(world, namespace, turn("relay.example"), resolving=True, gatherTimeoutMs=6000)


@provokes("DNS_SLOW", confidence=LIKELY)
async def turn_name_slow(world: World) -> list[Line]:
    """The TURN server's name is resolved so late that gathering is over before the relay is there."""
    namespace, _ = await coturn(world)
    # The answer comes more than a second after what counts as slow, and more than a second before the end of gathering.
    await world.enter(NameServer(namespace, NAME_SERVER, answer=TURN, delay_s=2.4))
    namespace.name_servers(NAME_SERVER, options="timeout:5 attempts:1")
    await namespace.drop(f"ip daddr {TURN} meta l4proto udp")
    return await relayed(world, namespace, turn("relay.example"), resolving=True, gatherTimeoutMs=3800, connectTimeoutMs=4000)


# --- A relay that ends ---------------------------------------------------------------------------------------


async def relay_killed(world: World, transport: str) -> list[Line]:
    """Kills the TURN server under a call that is up."""
    namespace, server = await coturn(world)
    relayed_only = calling(ice_servers=[turn(query=f"?transport={transport}")], iceTransportPolicy="relay")
    phone, said = await up(world, namespace, opening(), relayed_only, holding_call(UNTIL_LOST_MS))
    server.signal(signal.SIGKILL)
    return said + await phone.lines(UNTIL_LOST_MS / 1000 + 20)


@provokes("STUN_PORT_CLOSED", confidence=CERTAIN, slow=True)
async def relay_over_udp_killed(world: World) -> list[Line]:
    """The TURN server's process is killed in mid-call: its port is closed."""
    return await relay_killed(world, "udp")


@provokes("CONSENT_LOST_PATH", confidence=CERTAIN, slow=True)
async def relay_over_tcp_killed(world: World) -> list[Line]:
    """The TURN server's process is killed in mid-call: the connection to it is cut."""
    return await relay_killed(world, "tcp")


# --- TURN -----------------------------------------------------------------------------------------------------


@provokes("TURN_SILENT", confidence=LIKELY)
async def turn_silent(world: World) -> list[Line]:
    """The TURN server takes every request and answers none."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(StunServer(namespace, TURN, lambda _: None))
    return await relayed(world, namespace, turn(), **GATHER)


@provokes("STUN_PORT_CLOSED", confidence=CERTAIN)
async def turn_port_closed(world: World) -> list[Line]:
    """Nothing listens on the TURN port."""
    namespace = await world.namespace()
    await world.lab(namespace)
    return await relayed(world, namespace, turn(), **GATHER)


@provokes("CONNECT_REFUSED", confidence=CERTAIN)
async def turn_wrong_transport(world: World) -> list[Line]:
    """The TURN server is asked over TCP and serves UDP only."""
    namespace, _ = await coturn(world, "--no-tcp")
    return await relayed(world, namespace, turn(query="?transport=tcp"), **GATHER)


@provokes("TURN_CREDENTIALS_REJECTED", confidence=CERTAIN)
async def turn_wrong_password(world: World) -> list[Line]:
    """The password is not the user's."""
    namespace, _ = await coturn(world)
    return await relayed(world, namespace, turn(credential="wrong"))


@provokes("TURN_CREDENTIALS_REJECTED", confidence=CERTAIN)
async def turn_unknown_user(world: World) -> list[Line]:
    """The TURN server does not know the user."""
    namespace, _ = await coturn(world)
    return await relayed(world, namespace, turn(username="mallory"))


@provokes("TURN_CREDENTIALS_EXPIRED", confidence=CERTAIN)
async def turn_expired_user(world: World) -> list[Line]:
    """The time of a time-limited user name is over."""
    namespace, _ = await coturn(world, "--use-auth-secret", "--static-auth-secret=north", users=False)
    username = f"{int(time.time()) - 300}:agent-7"
    return await relayed(world, namespace, turn(username=username, credential=_rest_password(username, "north")))


def _rest_password(username: str, secret: str) -> str:
    """The password of a time-limited user (TURN REST)."""
    return base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()


@provokes("TURN_QUOTA", confidence=CERTAIN)
async def turn_quota(world: World) -> list[Line]:
    """The user has as many allocations as it may have."""
    namespace, _ = await coturn(world, "--user-quota=1")
    first = await world.softphone(namespace, opening(), _relay_call(), holding_call(60_000))
    for _ in range(2):
        if (line := await first.line(40)) is None or not line["ok"]:
            return [line] if line else []
    return await world.lines(namespace, opening(), _relay_call())


def _relay_call(session: str = "call") -> Line:
    return calling(session=session, ice_servers=[turn()], iceTransportPolicy="relay", connectTimeoutMs=8000)


@provokes("TURN_QUOTA", confidence=CERTAIN, also=("DUPLICATE_IDENTITY",))
async def turn_account_shared(world: World) -> list[Line]:
    """Two softphones of one generator use the same TURN account, which may have one allocation."""
    namespace, _ = await coturn(world, "--user-quota=1")
    return await world.lines(namespace, opening(), _relay_call("first"), _relay_call("second"))


@provokes("TURN_CAPACITY", confidence=CERTAIN)
async def turn_capacity(world: World) -> list[Line]:
    """The TURN server has given out all its relay ports, to other softphones."""
    # Ports that other programs have it would try again and again, for many seconds.
    namespace, _ = await coturn(world, "--min-port=50200", "--max-port=50203")
    names = [f"call-{number}" for number in range(5)]
    return await world.lines(namespace, opening(), *(_relay_call(name) for name in names))


@provokes("TURN_PEER_FORBIDDEN", confidence=CERTAIN)
async def turn_peer_forbidden(world: World) -> list[Line]:
    """The TURN server does not relay to the other side's address."""
    namespace, _ = await coturn(world, f"--denied-peer-ip={LAB}")
    return await relayed(world, namespace, turn(), connectTimeoutMs=8000)


@provokes("TURN_STALE_NONCE", confidence=CERTAIN)
async def turn_stale_nonce(world: World) -> list[Line]:
    """Every nonce is stale, as behind a balancer whose servers do not share their key."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(StunServer(namespace, TURN, refusing(438, "Stale Nonce")))
    return await relayed(world, namespace, turn(), **GATHER)


@provokes("TURN_REFUSED", confidence=CERTAIN)
async def turn_redirected_to_nowhere(world: World) -> list[Line]:
    """The TURN server sends us to another one, which is not there."""
    namespace = await world.namespace()
    await world.lab(namespace)
    elsewhere = _plain_address(ALTERNATE_SERVER, OTHER_PHONE, 3478)
    await world.enter(StunServer(namespace, TURN, lambda request: request.error(300, "Try Alternate", elsewhere)))
    await namespace.drop(f"ip daddr {OTHER_PHONE} udp dport 3478")
    return await relayed(world, namespace, turn(), **GATHER)


def _plain_address(name: int, address: str, port: int) -> bytes:
    """An address attribute that is not XORed (RFC 8489 §14.15)."""
    return attribute(name, b"\0\1" + port.to_bytes(2, "big") + socket.inet_aton(address))


@provokes("TURN_REFUSED", confidence=CERTAIN)
async def turn_allocation_mismatch(world: World) -> list[Line]:
    """The TURN server says that this address has an allocation already (437)."""
    return await refused_allocation(world, 437, "Allocation Mismatch")


@provokes("TURN_REFUSED", confidence=CERTAIN)
async def turn_server_error(world: World) -> list[Line]:
    """The TURN server answers with an error of its own (500)."""
    return await refused_allocation(world, 500, "Server Error")


async def refused_allocation(world: World, code: int, reason: str) -> list[Line]:
    """A TURN server that refuses every allocation."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(StunServer(namespace, TURN, refusing(code, reason)))
    return await relayed(world, namespace, turn(), **GATHER)


@provokes("ICE_NO_LOCAL_CANDIDATES", confidence=CERTAIN)
async def gathering_given_up_early(world: World) -> list[Line]:
    """Gathering is given up before it can be told whether the only relay is silent."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(StunServer(namespace, TURN, lambda _: None))
    return await relayed(world, namespace, turn(), gatherTimeoutMs=200, connectTimeoutMs=500)


@provokes("TURN_SILENT", confidence=LIKELY)
async def turn_challenges_rate_limited(world: World) -> list[Line]:
    """Bindings are answered, Allocates are not: the server limits its challenges."""
    namespace = await world.namespace()
    await world.lab(namespace)
    bindings_only = refusing(401, "Unauthorized")
    await world.enter(StunServer(namespace, TURN, lambda request: bindings_only(request) if request.method == 1 else None))
    return await relayed(world, namespace, stun(TURN), turn(), **GATHER)
