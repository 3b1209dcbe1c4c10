"""Two hundred softphones that may only use a relay, over each transport to it, and nothing is left on the TURN server."""

from __future__ import annotations

import json
import threading

from tests.jmeter.plans import call, defaults, hang_up, open_socket, think, thread_group, together
from tests.jmeter.runs import RealJMeter, wait_until
from tests.jmeter.turn_server import PASSWORD, USER, TurnServer

SOFTPHONES = 200
#: For all of them to be up, on a machine that is shared.
ALL_UP_MS = 120_000


class Relayed(RealJMeter):
    def test_softphones_over_udp_all_connect_and_leave_no_allocation(self) -> None:
        self.relayed("UDP")

    def test_softphones_over_tcp_all_connect_and_leave_no_allocation(self) -> None:
        self.relayed("TCP")

    def test_softphones_over_tls_all_connect_and_leave_no_allocation(self) -> None:
        self.relayed("TLS")

    def relayed(self, transport: str) -> None:
        """All are up at the same time, each through an allocation of its own; then all hang up."""
        lab = self.lab()
        most = 0
        over = threading.Event()
        with TurnServer(self.folder) as turn:
            trust = {"pem": turn.certificate.read_text(encoding="utf-8")}
            server = {"urls": [turn.urls()[transport]], "username": USER, "credential": PASSWORD, "trust": trust}

            def watch() -> None:
                nonlocal most
                while not over.wait(0.05):
                    most = max(most, turn.allocations())

            watching = threading.Thread(target=watch)
            watching.start()
            try:
                all_up = think(1000).with_children(together(SOFTPHONES, ALL_UP_MS))
                run = self.run_plan(
                    defaults(iceServers=json.dumps([server]), iceTransportPolicy="relay", connectTimeout=60_000, gatherTimeout=15_000),
                    thread_group("relayed", open_socket(lab.port), call(), all_up, hang_up(), threads=SOFTPHONES, ramp=4),
                    seconds=240,
                )
            finally:
                over.set()
                watching.join()
            self.assertEqual(run.failed(), [])
            calls = run.labelled("WebRTC connect")
            self.assertEqual(len(calls), SOFTPHONES)
            self.assertEqual({row["webrtc_selectedPair"].split(" ")[0] for row in calls}, {"relay"})
            self.assertEqual(len({row["webrtc_selectedPair"].split(" -> ")[0] for row in calls}), SOFTPHONES)
            self.assertEqual(most, SOFTPHONES, "an allocation for each, and none more")
            wait_until(lambda: turn.allocations() == 0, 10, "the end of the last allocation")
        self.assert_ended_cleanly(run)
        self.assertEqual(lab.stop()["callsAnswered"], SOFTPHONES)
