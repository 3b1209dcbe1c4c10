"""WebSockets through a real JMeter: they live through silence and iterations, and know why they ended."""

from __future__ import annotations

from tests.jmeter.plans import close_socket, exchange, once, open_socket, think, thread_group
from tests.jmeter.runs import RealJMeter

PING, PONG = '{"type":"ping"}', '{"type":"pong"}'


class WebSockets(RealJMeter):
    def test_live_through_a_minute_of_thinking_behind_a_server_that_cuts_after_5_s_of_silence(self) -> None:
        lab = self.lab(idleCutMs=5000)
        run = self.run_plan(
            thread_group("patient", open_socket(lab.port, pingInterval="2"), think(60_000), exchange(PING), close_socket()),
            seconds=100,
        )
        self.assertEqual(run.failed(), [])
        self.assertEqual(len(run.rows), 3)
        self.assert_ended_cleanly(run)
        self.assertEqual(lab.stop()["socketsOpened"], 1)

    def test_without_a_ping_are_cut_by_such_a_server_and_say_so(self) -> None:
        lab = self.lab(idleCutMs=1000)
        run = self.run_plan(thread_group("silent", open_socket(lab.port), think(3000), exchange(PING)))
        self.assertEqual([row["success"] for row in run.rows], ["true", "false"])
        self.assertRegex(run.rows[1]["responseMessage"], "the server ended .* without a close frame")
        self.assert_ended_cleanly(run)

    def test_that_the_server_closed_are_known_closed_with_cause_at_the_next_use(self) -> None:
        lab = self.lab(faults={"closeAfterMs": 500, "closeCode": 4001, "closeReason": "maintenance"})
        run = self.run_plan(thread_group("late", open_socket(lab.port), think(1500), exchange(PING)))
        (late,) = run.labelled("WebSocket request-response")
        self.assertEqual(late["success"], "false")
        self.assertIn("4001", late["responseMessage"])
        self.assertIn("maintenance", late["responseMessage"])
        self.assertLess(int(late["elapsed"]), 1000, "nothing is to be waited for")

    def test_are_the_same_in_every_iteration(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group("iterating", once(open_socket(lab.port)), exchange(PING), threads=2, loops=3),
        )
        self.assertEqual(run.failed(), [])
        self.assertEqual(len(run.labelled("WebSocket request-response")), 6)
        self.assertEqual(lab.stop()["socketsOpened"], 2)

    def test_that_the_plan_left_open_are_closed_at_the_end_of_their_thread(self) -> None:
        lab = self.lab()
        run = self.run_plan(thread_group("forgetful", open_socket(lab.port), threads=20))
        self.assertEqual(run.failed(), [])
        self.assertEqual(run.counters["webSockets"]["opened"], 20)
        self.assertEqual(run.counters["webSockets"]["open"], 0)
        self.assert_ended_cleanly(run)
