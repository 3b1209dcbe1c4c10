"""How a test ends: by itself, by Stop, by Shutdown, by its scheduler. JMeter is never held up by what we wait for."""

from __future__ import annotations

from demo.summary import Row
from tests.jmeter.plans import Node, call, exchange, open_socket, read, thread_group
from tests.jmeter.runs import RealJMeter

PARKED = 200

#: The waits last 120 s, and JMeter itself gives threads 5 s after StopTestNow before it gives up on them.
STOP_SECONDS = 4.5


def waiting(port: int, **properties: str) -> list[Node]:
    """A connection, and a read of something that never comes."""
    return [open_socket(port), read(readTimeout=120_000, **properties)]


def opened(count: int) -> object:
    """Whether so many connections are open by the results so far."""

    def condition(rows: list[Row]) -> bool:
        return sum(row["label"] == "WebSocket open" for row in rows) >= count

    return condition


class Stopping(RealJMeter):
    def test_now_frees_200_parked_threads(self) -> None:
        lab = self.lab(faults={"neverAnswer": True})
        run = self.run_plan(
            thread_group("reading", *waiting(lab.port), threads=PARKED // 2, ramp=2),
            thread_group("calling", open_socket(lab.port), call(answerTimeout=120_000), threads=PARKED // 2, ramp=2),
            when=opened(PARKED),
            then="StopTestNow",
        )
        self.assertLess(run.stop_seconds, STOP_SECONDS)
        self.assert_ended_cleanly(run)
        parked = [row for row in run.rows if row["label"] != "WebSocket open"]
        self.assertEqual(len(parked), PARKED)
        self.assertEqual({row["responseCode"] for row in parked}, {"CANCELLED"})
        for kind in ("softphones", "webSockets", "udpSockets"):
            self.assertEqual(run.counters[kind]["open"], 0, kind)

    def test_by_shutdown_ends_a_long_wait(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group("reading", *waiting(lab.port), threads=5), when=opened(5), then="Shutdown"
        )
        self.assertLess(run.stop_seconds, STOP_SECONDS)
        self.assertIn("shut down", run.labelled("WebSocket read")[0]["responseMessage"])
        self.assert_ended_cleanly(run)

    def test_by_the_scheduler_ends_a_long_wait(self) -> None:
        lab = self.lab()
        run = self.run_plan(thread_group("scheduled", *waiting(lab.port), threads=5, duration=10), seconds=60)
        reads = run.labelled("WebSocket read")
        self.assertEqual(len(reads), 5)
        self.assertIn("end time", reads[0]["responseMessage"])
        self.assert_ended_cleanly(run)

    def test_is_prompt_when_calls_and_sockets_were_left_open(self) -> None:
        lab = self.lab()
        run = self.run_plan(thread_group("forgetful", open_socket(lab.port), call(), threads=20), jvm=["-Xcheck:jni"])
        self.assertEqual(run.failed(), [])
        self.assert_ended_cleanly(run)
        counters = lab.stop()
        self.assertEqual((counters["callsAnswered"], counters["callsOpen"], counters["socketsOpen"]), (20, 0, 0))

    def test_is_prompt_after_errors(self) -> None:
        lab = self.lab(faults={"closeAfterMs": 300})
        run = self.run_plan(
            thread_group("unlucky", open_socket(lab.port), read(readTimeout=5000), exchange("x"), call(), threads=20),
            jvm=["-Xcheck:jni"],
        )
        self.assertEqual(len(run.failed()), 60)
        self.assert_ended_cleanly(run)
