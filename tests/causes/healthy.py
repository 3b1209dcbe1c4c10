"""Nothing, or nothing worth a verdict: what must not be called a failure."""

from __future__ import annotations

from tests.causes.ice import meddled
from tests.causes.media import IS_RTP, IS_STUN, TO_LAB, TO_PHONE
from tests.causes.name_server import NameServer
from tests.causes.programs import Coturn, Line
from tests.causes.provocations import provokes
from tests.causes.relays import NAME_SERVER
from tests.causes.stun_server import StunServer, refusing
from tests.causes.world import LAB, TURN, World, calling, hanging_up, holding_call, opening, stun, turn


async def whole_call(world: World, *ice_servers: Line, drops: tuple[str, ...] = (), resolving: bool = False, **config: object) -> list[Line]:
    """A call from beginning to end."""
    namespace = await world.namespace()
    await world.lab(namespace)
    if drops:
        await namespace.drop(*drops)
    steps = [opening(), calling(ice_servers=list(ice_servers), **config), holding_call(1500), hanging_up()]
    return await world.lines(namespace, *steps, resolving=resolving)


@provokes()
async def healthy(world: World) -> list[Line]:
    """A call without any fault."""
    return await whole_call(world)


@provokes()
async def healthy_with_stun(world: World) -> list[Line]:
    """A call with a STUN server that answers."""
    return await whole_call(world, stun(LAB))


@provokes()
async def healthy_with_relay(world: World) -> list[Line]:
    """A call that may only go through a relay, and does."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(Coturn(namespace, world.folder, TURN))
    steps = [opening(), calling(ice_servers=[turn()], iceTransportPolicy="relay"), holding_call(1500), hanging_up()]
    return await world.lines(namespace, *steps)


@provokes()
async def healthy_in_spite_of_turn(world: World) -> list[Line]:
    """TURN refuses, and the call does not need it."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(StunServer(namespace, TURN, refusing(486, "Allocation Quota Reached")))
    steps = [opening(), calling(ice_servers=[turn()]), holding_call(1500), hanging_up()]
    return await world.lines(namespace, *steps)


@provokes()
async def one_rtp_packet_lost(world: World) -> list[Line]:
    """One RTP packet of each direction is lost."""
    once = "limit rate 1/day burst 1 packets"
    return await whole_call(world, drops=(f"{TO_PHONE} {IS_RTP} {once}", f"{TO_LAB} {IS_RTP} {once}"))


@provokes()
async def one_check_lost(world: World) -> list[Line]:
    """The first check of each direction is lost."""
    once = "limit rate 1/day burst 1 packets"
    return await whole_call(world, drops=(f"{TO_PHONE} {IS_STUN} {once}", f"{TO_LAB} {IS_STUN} {once}"))


@provokes()
async def answer_takes_a_second(world: World) -> list[Line]:
    """The answer takes a second, and there is time enough."""
    namespace = await world.namespace()
    await world.lab(namespace, faults={"answerDelayMs": 1000})
    return await world.lines(namespace, opening(), calling(), holding_call(1000), hanging_up())


@provokes()
async def healthy_by_name(world: World) -> list[Line]:
    """Host names are resolved for signaling and STUN."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await world.enter(NameServer(namespace, NAME_SERVER, answer=LAB))
    namespace.name_servers(NAME_SERVER)
    steps = [opening("lab.example"), calling(ice_servers=[stun("lab.example")]), holding_call(1000), hanging_up()]
    return await world.lines(namespace, *steps, resolving=True)


@provokes()
async def healthy_through_a_proxy(world: World) -> list[Line]:
    """A call whose signaling passes through somebody who changes nothing."""

    async def pass_on(going: str, message: Line) -> list[Line]:
        return [message]

    return await meddled(world, pass_on, holding_call(1000), hanging_up())
