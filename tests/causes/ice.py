"""ICE: descriptions without use, checks without answer."""

from __future__ import annotations

from typing import Any

from tests.causes.namespaces import Namespace
from tests.causes.programs import Line
from tests.causes.provocations import CERTAIN, LIKELY, provokes
from tests.causes.web_sockets import Meddler, Meddling
from tests.causes.world import (
    LAB,
    MEDDLER,
    PHONE,
    World,
    answering,
    calling,
    hanging_up,
    holding_call,
    opening,
    registering,
    stun,
)

Message = dict[str, Any]


async def meddled(world: World, meddling: Meddling, *more: Line, namespace: Namespace | None = None, **config: object) -> list[Line]:
    """A call whose signaling is changed on the way."""
    if namespace is None:
        namespace = await world.namespace()
        await world.lab(namespace)
    await world.enter(Meddler(namespace, MEDDLER, LAB, meddling))
    chosen = {"connectTimeoutMs": 3000, **config}
    return await world.lines(namespace, opening(MEDDLER), calling(**chosen), *more)


def changing_sdp(direction: str, change: Any) -> Meddling:
    """Rewrites descriptions and candidates of one direction; `change` takes a line and gives it, another or `None`."""

    async def meddle(going: str, message: Message) -> list[Message]:
        if going != direction:
            return [message]
        if "sdp" in message:
            lines = [change(line) for line in message["sdp"].split("\r\n")]
            return [{**message, "sdp": "\r\n".join(line for line in lines if line is not None)}]
        if message.get("type") == "candidate" and message["candidate"]["candidate"]:
            changed = change("a=" + message["candidate"]["candidate"])
            if changed is None:
                return []
            return [{**message, "candidate": {**message["candidate"], "candidate": changed.removeprefix("a=")}}]
        return [message]

    return meddle


def both(*meddlings: Meddling) -> Meddling:
    """One after the other."""

    async def meddle(going: str, message: Message) -> list[Message]:
        messages = [message]
        for meddling in meddlings:
            messages = [changed for each in messages for changed in await meddling(going, each)]
        return messages

    return meddle


def no_candidate(line: str) -> str | None:
    """Takes candidates out."""
    return None if line.startswith("a=candidate:") else line


def candidate_address(address: str) -> Any:
    """Puts another address into candidates."""

    def change(line: str) -> str:
        if not line.startswith("a=candidate:"):
            return line
        fields = line.split(" ")
        fields[4] = address
        return " ".join(fields)

    return change


#: The other side learns of no candidate of ours, so that its checks do not reveal its address.
OURS_HIDDEN = changing_sdp("out", no_candidate)


@provokes("SDP_REJECTED", confidence=CERTAIN)
async def answer_unreadable(world: World) -> list[Line]:
    """The answer is no session description."""
    return await meddled(world, changing_sdp("in", lambda line: "v=0" if line == "v=0" else None))


@provokes("SDP_REJECTED", confidence=CERTAIN)
async def answer_without_fingerprint(world: World) -> list[Line]:
    """The answer has no DTLS fingerprint."""
    return await meddled(world, changing_sdp("in", lambda line: None if line.startswith("a=fingerprint") else line))


@provokes("ICE_NO_REMOTE_CANDIDATES", confidence=CERTAIN)
async def no_remote_candidates(world: World) -> list[Line]:
    """The answer has no candidates and none are trickled."""
    namespace = await world.namespace()
    await world.lab(namespace, faults={"dropCandidates": True})
    return await world.lines(namespace, opening(), calling(connectTimeoutMs=2500))


@provokes("ICE_NO_COMPATIBLE_PAIRS", confidence=CERTAIN)
async def only_ipv6_remote_candidates(world: World) -> list[Line]:
    """The other side has IPv6 addresses only, and we have IPv4."""
    return await meddled(world, both(OURS_HIDDEN, changing_sdp("in", candidate_address("2001:db8::7"))))


@provokes("ICE_NO_COMPATIBLE_PAIRS", confidence=CERTAIN)
async def only_tcp_remote_candidates(world: World) -> list[Line]:
    """The other side has TCP candidates only."""

    def over_tcp(line: str) -> str:
        if not line.startswith("a=candidate:"):
            return line
        fields = line.split(" ")
        return " ".join([*fields[:2], "tcp", *fields[3:8], "tcptype", "passive"])

    return await meddled(world, both(OURS_HIDDEN, changing_sdp("in", over_tcp)))


@provokes("ICE_NO_COMPATIBLE_PAIRS", confidence=CERTAIN)
async def only_mdns_remote_candidates(world: World) -> list[Line]:
    """The other side hides its addresses behind .local names."""
    name = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0.local"
    return await meddled(world, both(OURS_HIDDEN, changing_sdp("in", candidate_address(name))))


@provokes("ICE_ANSWER_LATE", confidence=CERTAIN)
async def answer_after_the_deadline(world: World) -> list[Line]:
    """The answer comes when the time to connect is over."""
    namespace = await world.namespace()
    await world.lab(namespace, faults={"answerDelayMs": 2000})
    return await world.lines(namespace, opening(), calling(connectTimeoutMs=1500, answerTimeoutMs=20_000))


@provokes("ICE_STALE_UFRAG", confidence=CERTAIN)
async def offer_of_another_call(world: World) -> list[Line]:
    """The other side gets the description of a call that is over: its checks are not for ours."""
    stale = changing_sdp("out", lambda line: "a=ice-ufrag:staleUfrag" if line.startswith("a=ice-ufrag:") else line)
    return await meddled(world, stale)


@provokes("ICE_STALE_UFRAG", confidence=CERTAIN)
async def answer_of_another_call(world: World) -> list[Line]:
    """We get the description of a call that is over: our checks are not for the other side's."""
    stale = changing_sdp(
        "in",
        lambda line: "a=ice-ufrag:staleUfrag"
        if line.startswith("a=ice-ufrag:")
        else "a=ice-pwd:stalePasswordOfAnotherCall"
        if line.startswith("a=ice-pwd:")
        else line,
    )
    return await meddled(world, stale)


@provokes("ICE_CHECKS_UNANSWERED", confidence=LIKELY)
async def checks_dropped(world: World) -> list[Line]:
    """Our checks are dropped on the way, and the other side's as well."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(f"ip daddr {LAB} meta l4proto udp", f"ip daddr {PHONE} meta l4proto udp")
    return await world.lines(namespace, opening(), calling(connectTimeoutMs=3000))


@provokes("ICE_CHECKS_UNANSWERED", confidence=LIKELY)
async def checks_dropped_one_way(world: World) -> list[Line]:
    """What we send is dropped on the way, the other side's checks arrive."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(f"ip daddr {LAB} meta l4proto udp")
    return await world.lines(namespace, opening(), calling(connectTimeoutMs=3000))


@provokes("SEND_REFUSED", confidence=CERTAIN)
async def sending_forbidden(world: World) -> list[Line]:
    """A rule of the generator's own firewall forbids what it sends."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.drop(f"ip saddr {PHONE} meta l4proto udp", chain="output")
    return await world.lines(namespace, opening(), calling(connectTimeoutMs=3000))


@provokes("SEND_REFUSED", confidence=CERTAIN)
async def no_route_to_the_peer(world: World) -> list[Line]:
    """There is no route to the address that the other side gives."""
    return await meddled(world, both(OURS_HIDDEN, changing_sdp("in", candidate_address("203.0.113.9"))))


@provokes("SEND_REFUSED", confidence=CERTAIN)
async def firewall_says_no(world: World) -> list[Line]:
    """A firewall on the way answers our checks with 'administratively prohibited'."""
    namespace = await world.namespace()
    await world.lab(namespace)
    await namespace.reject(f"ip daddr {LAB} meta l4proto udp", "icmp type admin-prohibited")
    return await meddled(world, OURS_HIDDEN, namespace=namespace)


async def behind_one_nat(world: World) -> tuple[str, Namespace, Namespace]:
    """Two namespaces behind one NAT that does not lead back inside, and a lab outside: its address, and the two."""
    public, nat, first, second = [await world.bare_namespace() for _ in range(4)]
    # public — nat — first, second; the NAT does not route between the two, and masquerades towards the public side only.
    await nat.ip(
        f"link add out type veth peer name eth0 netns {public.name}",
        f"link add in1 type veth peer name eth0 netns {first.name}",
        f"link add in2 type veth peer name eth0 netns {second.name}",
        "addr add 198.51.100.2/24 dev out",
        "addr add 192.168.1.1/24 dev in1",
        "addr add 192.168.2.1/24 dev in2",
        "link set out up",
        "link set in1 up",
        "link set in2 up",
    )
    await public.ip("addr add 198.51.100.1/24 dev eth0", "link set eth0 up")
    for inside, net in ((first, 1), (second, 2)):
        address = f"addr add 192.168.{net}.7/24 dev eth0"
        await inside.ip(address, "link set eth0 up", f"route add default via 192.168.{net}.1")
    await nat.sysctl(net__ipv4__ip_forward="1")
    await nat.nft(
        "table ip nat {\n"
        '  chain after { type nat hook postrouting priority 100; oifname "out" masquerade; }\n'
        '  chain between { type filter hook forward priority 0; iifname "in*" oifname "in*" drop; }\n'
        "}\n"
    )
    server = "198.51.100.1"
    await world.lab(public, server)
    return server, first, second


@provokes("ICE_NO_HAIRPIN", confidence=LIKELY, also=("ICE_CHECKS_UNANSWERED",))
async def no_hairpin(world: World) -> list[Line]:
    """Both softphones are behind one NAT that does not lead back inside."""
    server, first, second = await behind_one_nat(world)
    settings = {"ice_servers": [stun(server)], "sourceAddress": None, "connectTimeoutMs": 6000}
    here = opening(server, sourceAddress=None)
    # The callee is the more patient one, so that it does not hang up first.
    callee = await world.softphone(second, here, registering("agent-2"), answering(**{**settings, "connectTimeoutMs": 12_000}))
    for _ in range(2):
        line = await callee.line(20)
        if line is None or not line["ok"]:
            return [line] if line else []
    return await world.lines(first, here, calling("agent-2", **settings), holding_call(200), hanging_up())
