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
from typing import Awaitable, Callable, Sequence

from demo.summary import Row
from tests.causes.ice import behind_one_nat
from tests.causes.jmeter import run_plan
from tests.causes.name_server import NameServer
from tests.causes.namespaces import remove_stale
from tests.causes.programs import ROOT, Coturn
from tests.causes.pulse import Pulse
from tests.causes.runs import STARVED
from tests.causes.world import LAB, PHONE, TURN, World, stun, turn
from tests.jmeter.plans import Node, call, defaults, hang_up, open_socket, think, thread_group

FOLDER = ROOT / "target/test-thread"
SOFTPHONES = 200

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


#: So often a run is done again where the machine was starved, and 200 softphones had two things to suffer from.
ATTEMPTS = 3
Scenario = Callable[[World], Awaitable["list[Row]"]]


class TheThread(unittest.IsolatedAsyncioTestCase):
    """One test per suspect."""

    async def asyncSetUp(self) -> None:
        if os.geteuid() != 0:
            raise AssertionError("these runs need root: they make network namespaces")
        # The test case's loop is one for debugging, which tells of every slow step.
        asyncio.get_running_loop().set_debug(False)
        await remove_stale()

    async def assert_blamed(self, suspect: str, scenario: Scenario, at_least: int, at_most: int = SOFTPHONES) -> list[Row]:
        """So many softphones fail, every failure has the suspect's verdict, and none is without evidence; gives these rows."""
        folder = FOLDER / self.id().rpartition(".")[2]
        async with Pulse() as pulse:
            for attempt in range(ATTEMPTS):
                shutil.rmtree(folder, ignore_errors=True)
                await pulse.calm()
                async with World(folder) as world:
                    rows = await scenario(world)
                failed = [row for row in rows if row["success"] != "true"]
                causes = collections.Counter(row.get("webrtc_cause", "") for row in failed)
                # Its own word for it: a process that mostly sleeps, as this one, gets the CPU before one that works.
                if STARVED not in causes:
                    break
                print(f"attempt {attempt + 1}: the generator was starved meanwhile: {dict(causes)}")
        told = f"{dict(causes)} in {folder}; first: {failed[0] if failed else None}"
        self.assertEqual({SUSPECTS[suspect]}, set(causes), told)
        self.assertTrue(at_least <= len(failed) <= at_most, f"{len(failed)} failed, expected {at_least} to {at_most}: {told}")
        self.assertTrue(all(row["webrtc_confidence"] in ("certain", "likely") for row in failed), told)
        self.assertTrue(all(row["webrtc_evidence"] for row in failed), told)
        return failed

    async def test_the_name_of_the_relay_resolves_too_slowly(self) -> None:
        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace)
            await world.enter(NameServer(namespace, "127.0.0.53", silent=True))
            namespace.name_servers("127.0.0.53")
            # Slower than the others: asking for a name is work for this machine, too, and nobody is to be starved.
            plan = softphones([turn("relay.example")], "relay", ramp=10, connectTimeout=6000)
            return await run_plan(namespace, world.folder, *plan, resolving=True)

        await self.assert_blamed("the name of the relay resolves too slowly", scenario, at_least=SOFTPHONES)

    async def test_the_generator_has_no_udp_port_left(self) -> None:
        ports, left = range(40_000, 40_300), 120

        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace)
            await namespace.sysctl(net__ipv4__ip_local_port_range=f"{ports.start} {ports.stop - 1}")
            with contextlib.ExitStack() as held:
                for port in ports[left:]:
                    held.enter_context(await namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((PHONE, port))
                return await run_plan(namespace, world.folder, *softphones(hold=12_000))

        missing = SOFTPHONES - left
        await self.assert_blamed("the generator has no UDP port left", scenario, missing, missing)

    async def test_a_websocket_is_opened_per_iteration(self) -> None:
        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace)
            # By default TIME_WAIT is short-cut on loopback, which a generator's own network does not do.
            await namespace.sysctl(net__ipv4__ip_local_port_range="40000 40399", net__ipv4__tcp_tw_reuse="0")
            return await run_plan(namespace, world.folder, *softphones(hold=100, loops=3))

        await self.assert_blamed("a WebSocket is opened per iteration", scenario, at_least=1)

    async def test_nobody_keeps_the_websocket_alive(self) -> None:
        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace, idleCutMs=3000)
            return await run_plan(namespace, world.folder, *softphones(then=[think(6000), call()]))

        await self.assert_blamed("nobody keeps the WebSocket alive", scenario, at_least=SOFTPHONES)

    async def test_softphones_start_too_fast(self) -> None:
        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace, faults={"upgradesPerSecond": 10, "retryAfterS": 30})
            return await run_plan(namespace, world.folder, *softphones(hold=500, ramp=2))

        await self.assert_blamed("softphones start too fast", scenario, at_least=SOFTPHONES // 2)

    async def test_the_relay_rejects_the_credentials(self) -> None:
        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace)
            await world.enter(Coturn(namespace, world.folder, TURN))
            plan = softphones([turn(credential="wrong")], "relay", connectTimeout=6000)
            return await run_plan(namespace, world.folder, *plan)

        await self.assert_blamed("the relay rejects the credentials", scenario, at_least=SOFTPHONES)

    async def test_the_relay_has_a_quota(self) -> None:
        quota = 80

        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace)
            await world.enter(Coturn(namespace, world.folder, TURN, "--max-port=50999", f"--user-quota={quota}"))
            plan = softphones([turn()], "relay", hold=15_000, connectTimeout=8000)
            return await run_plan(namespace, world.folder, *plan)

        await self.assert_blamed("the relay has a quota", scenario, SOFTPHONES - quota, SOFTPHONES - quota)

    async def test_the_nat_does_not_hairpin(self) -> None:
        async def scenario(world: World) -> list[Row]:
            server, callers, callees = await behind_one_nat(world)
            settings = {"session": {"iceServers": [stun(server)], "iceCheckIntervalMs": 500, "connectTimeoutMs": 8000}}
            answering = {"do": "answerAll", "url": f"ws://{server}:8080/", "names": "agent-", "count": SOFTPHONES}
            phones = await world.softphone(callees, {**answering, "config": settings, "deadlineMs": 60_000})
            registered = await phones.line(30)
            self.assertEqual("registered", (registered or {}).get("step"), registered)
            ice = {"connectTimeout": 4000, "iceCheckInterval": 250}
            plan = softphones([stun(server)], server=server, to="agent-${__threadNum}", source="", **ice)
            return await run_plan(callers, world.folder, *plan)

        await self.assert_blamed("the NAT does not hairpin", scenario, at_least=SOFTPHONES)

    async def test_connection_state_says_connected(self) -> None:
        async def scenario(world: World) -> list[Row]:
            namespace = await world.namespace()
            await world.lab(namespace, faults={"mute": True})
            return await run_plan(namespace, world.folder, *softphones(firstRtpTimeout=2000))

        failed = await self.assert_blamed("connectionState says connected", scenario, at_least=SOFTPHONES)
        states = {row["webrtc_state"] for row in failed}
        self.assertEqual({"connected"}, states, "which is why it says nothing about the cause")

    def test_the_nine_verdicts_are_nine(self) -> None:
        self.assertEqual(9, len(set(SUSPECTS.values())))


def softphones(
    ice_servers: list[dict[str, object]] | None = None,
    policy: str = "all",
    *,
    server: str = LAB,
    to: str = "tone",
    source: str = PHONE,
    hold: int = 1000,
    ramp: int = 5,
    loops: int = 1,
    then: Sequence[Node] = (),
    **settings: object,
) -> list[Node]:
    """200 softphones that open a WebSocket, call, hold for so many ms, hang up, and stop at their first failure."""
    chosen = {"sourceAddress": source, "iceTransportPolicy": policy, "iceServers": json.dumps(ice_servers or []), **settings}
    steps = [open_socket(8080, server=server), call(to=to), think(hold), hang_up(), *then]
    phones = thread_group("softphones", *steps, threads=SOFTPHONES, ramp=ramp, loops=loops, on_error="stopthread")
    return [defaults(**{name: value for name, value in chosen.items() if value != ""}), phones]


if __name__ == "__main__":
    unittest.main()
