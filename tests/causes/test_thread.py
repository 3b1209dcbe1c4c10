"""'WebRTC softphones drop at 200 concurrent users': nine suspects, nine runs of 200 softphones, nine verdicts.

Each run is a plan through a real JMeter with one of the suspects made true, and its JTL has to name it. The verdicts are all
different, so that a reader of a JTL can tell the suspects apart.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import shutil
import socket
import unittest

from demo.summary import Row
from tests.causes.ice import behind_one_nat
from tests.causes.jmeter import run_plan
from tests.causes.name_server import NameServer
from tests.causes.namespaces import remove_stale
from tests.causes.programs import ROOT, Coturn
from tests.causes.world import LAB, PHONE, TURN, World, stun, turn
from tests.jmeter.plans import Node, call, defaults, exchange, hang_up, open_socket, think, thread_group

FOLDER = ROOT / "target/test-thread"
SOFTPHONES = 200
PING = '{"type":"ping"}'

#: What each suspect of the thread has to be told as.
SUSPECTS = {
    "the name of the relay resolves too slowly": "DNS_TIMEOUT",
    "the generator has no UDP port left": "GEN_UDP_PORTS",
    "a WebSocket is opened per iteration": "GEN_TCP_PORTS",
    "nobody keeps the WebSocket alive": "CLOSED_BY_FIN",
    "softphones start too fast": "UPGRADE_RATE_LIMITED",
    "the relay rejects the credentials": "TURN_CREDENTIALS_REJECTED",
    "the relay has a quota": "TURN_QUOTA",
    "the NAT does not hairpin": "ICE_NO_HAIRPIN",
    "connectionState says connected": "MEDIA_NONE_IN",
}


class TheThread(unittest.IsolatedAsyncioTestCase):
    """One test per suspect."""

    async def asyncSetUp(self) -> None:
        if os.geteuid() != 0:
            raise AssertionError("these runs need root: they make network namespaces")
        # The test case's loop is one for debugging, which tells of every slow step.
        asyncio.get_running_loop().set_debug(False)
        await remove_stale()
        folder = FOLDER / self.id().rpartition(".")[2]
        shutil.rmtree(folder, ignore_errors=True)
        self.world = await self.enterAsyncContext(World(folder))

    def assert_blamed(self, rows: list[Row], suspect: str, at_least: int, at_most: int = SOFTPHONES) -> None:
        """So many softphones failed, and every failure has the suspect's verdict and none is without evidence."""
        failed = [row for row in rows if row["success"] != "true"]
        causes = collections.Counter(row.get("webrtc_cause", "") for row in failed)
        told = f"{dict(causes)} in {self.world.folder}; first: {failed[0] if failed else None}"
        self.assertEqual({SUSPECTS[suspect]}, set(causes), told)
        self.assertTrue(at_least <= len(failed) <= at_most, f"{len(failed)} failed, expected {at_least} to {at_most}: {told}")
        self.assertTrue(all(row["webrtc_confidence"] in ("certain", "likely") for row in failed), told)
        self.assertTrue(all(row["webrtc_evidence"] for row in failed), told)

    async def test_the_name_of_the_relay_resolves_too_slowly(self) -> None:
        namespace = await self.world.namespace()
        await self.world.lab(namespace)
        await self.world.enter(NameServer(namespace, "127.0.0.53", silent=True))
        namespace.name_servers("127.0.0.53")
        relay = [turn("relay.example")]
        rows = await run_plan(namespace, self.world.folder, *softphones(relay, "relay", connectTimeout=6000), resolving=True)
        self.assert_blamed(rows, "the name of the relay resolves too slowly", at_least=SOFTPHONES)

    async def test_the_generator_has_no_udp_port_left(self) -> None:
        ports, left = range(40_000, 40_300), 120
        namespace = await self.world.namespace()
        await self.world.lab(namespace)
        await namespace.sysctl(net__ipv4__ip_local_port_range=f"{ports.start} {ports.stop - 1}")
        with contextlib.ExitStack() as held:
            for port in ports[left:]:
                held.enter_context(await namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((PHONE, port))
            rows = await run_plan(namespace, self.world.folder, *softphones(hold=12_000))
        self.assert_blamed(rows, "the generator has no UDP port left", SOFTPHONES - left, SOFTPHONES - left)

    async def test_a_websocket_is_opened_per_iteration(self) -> None:
        namespace = await self.world.namespace()
        await self.world.lab(namespace)
        # By default TIME_WAIT is short-cut on loopback, which a generator's own network does not do.
        await namespace.sysctl(net__ipv4__ip_local_port_range="40000 40399", net__ipv4__tcp_tw_reuse="0")
        steps = [open_socket(8080, server=LAB), exchange(PING), think(200)]
        rows = await run_plan(namespace, self.world.folder, defaults(), group(*steps, loops=10))
        self.assert_blamed(rows, "a WebSocket is opened per iteration", at_least=1)

    async def test_nobody_keeps_the_websocket_alive(self) -> None:
        namespace = await self.world.namespace()
        await self.world.lab(namespace, idleCutMs=3000)
        steps = [open_socket(8080, server=LAB), think(6000), exchange(PING)]
        rows = await run_plan(namespace, self.world.folder, defaults(), group(*steps))
        self.assert_blamed(rows, "nobody keeps the WebSocket alive", at_least=SOFTPHONES)

    async def test_softphones_start_too_fast(self) -> None:
        namespace = await self.world.namespace()
        await self.world.lab(namespace, faults={"upgradesPerSecond": 10, "retryAfterS": 30})
        rows = await run_plan(namespace, self.world.folder, *softphones(hold=500, ramp=2))
        self.assert_blamed(rows, "softphones start too fast", at_least=SOFTPHONES // 2)

    async def test_the_relay_rejects_the_credentials(self) -> None:
        namespace = await self.world.namespace()
        await self.world.lab(namespace)
        await self.world.enter(Coturn(namespace, self.world.folder, TURN))
        relay = [turn(credential="wrong")]
        rows = await run_plan(namespace, self.world.folder, *softphones(relay, "relay", connectTimeout=6000))
        self.assert_blamed(rows, "the relay rejects the credentials", at_least=SOFTPHONES)

    async def test_the_relay_has_a_quota(self) -> None:
        quota = 80
        namespace = await self.world.namespace()
        await self.world.lab(namespace)
        options = ("--max-port=50999", f"--user-quota={quota}")
        await self.world.enter(Coturn(namespace, self.world.folder, TURN, *options))
        rows = await run_plan(namespace, self.world.folder, *softphones([turn()], "relay", hold=15_000, connectTimeout=8000))
        self.assert_blamed(rows, "the relay has a quota", SOFTPHONES - quota, SOFTPHONES - quota)

    async def test_the_nat_does_not_hairpin(self) -> None:
        server, callers, callees = await behind_one_nat(self.world)
        settings = {"session": {"iceServers": [stun(server)], "iceCheckIntervalMs": 500, "connectTimeoutMs": 8000}}
        answering = {"do": "answerAll", "url": f"ws://{server}:8080/", "names": "agent-", "count": SOFTPHONES, "config": settings}
        phones = await self.world.softphone(callees, {**answering, "deadlineMs": 60_000})
        self.assertEqual("registered", (await phones.line(30) or {}).get("step"))
        plan = softphones([stun(server)], server=server, to="agent-${__threadNum}", source="", connectTimeout=4000, iceCheckInterval=250)
        rows = await run_plan(callers, self.world.folder, *plan)
        self.assert_blamed(rows, "the NAT does not hairpin", at_least=SOFTPHONES)

    async def test_connection_state_says_connected(self) -> None:
        namespace = await self.world.namespace()
        await self.world.lab(namespace, faults={"mute": True})
        rows = await run_plan(namespace, self.world.folder, *softphones(firstRtpTimeout=2000))
        self.assert_blamed(rows, "connectionState says connected", at_least=SOFTPHONES)
        states = {row["webrtc_state"] for row in rows if row["success"] != "true"}
        self.assertEqual({"connected"}, states, "which is why it says nothing about the cause")

    def test_the_nine_verdicts_are_nine(self) -> None:
        self.assertEqual(9, len(set(SUSPECTS.values())))


def group(*steps: Node, ramp: int = 5, loops: int = 1) -> Node:
    """200 threads that stop at their first failure."""
    return thread_group("softphones", *steps, threads=SOFTPHONES, ramp=ramp, loops=loops, on_error="stopthread")


def softphones(
    ice_servers: list[dict[str, object]] | None = None,
    policy: str = "all",
    *,
    server: str = LAB,
    to: str = "tone",
    source: str = PHONE,
    hold: int = 1000,
    ramp: int = 5,
    **settings: object,
) -> list[Node]:
    """200 softphones that open a WebSocket, call, hold for so many ms and hang up."""
    chosen = {"sourceAddress": source, "iceTransportPolicy": policy, "iceServers": json.dumps(ice_servers or []), **settings}
    steps = [open_socket(8080, server=server), call(to=to), think(hold), hang_up()]
    return [defaults(**{name: value for name, value in chosen.items() if value != ""}), group(*steps, ramp=ramp)]


if __name__ == "__main__":
    unittest.main()
