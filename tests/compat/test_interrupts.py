"""What ends a wait early: not a Sample Timeout, which the original knows nothing of, but JMeter's own stop."""
from __future__ import annotations

import time
import unittest

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.jmx import Element
from tests.compat.scripted_server import ScriptedServer

MODES = ("strict", "fixed")


class InterruptsTest(unittest.TestCase):
    """Reads that wait for what does not come, or comes late."""

    def test_a_sample_timeout_changes_nothing(self) -> None:
        with ScriptedServer() as server:
            want = self._outcomes(homes.original()[0], server, "original", {})
            self.assertEqual(want, [("open", True, "Switching Protocols"), ("late", True, "OK"),
                                    ("never", False, "WebSocket I/O error: Read timed out")])
            for mode in MODES:
                with self.subTest(mode):
                    got = self._outcomes(homes.ours(), server, mode, {"webrtc.websocket.compat": mode})
                    self.assertEqual(got, want)

    def test_the_end_of_the_test_ends_a_read_without_timeout_at_once(self) -> None:
        for mode in MODES:
            with self.subTest(mode), ScriptedServer() as server:
                where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port), "path": "/e"}
                waiting = jmx.thread_group("waiting", jmx.open_connection("open", **where), jmx.single_read(
                    "forever", createNewConnection=False, dataType="Text", readTimeout="0"), threads=2)
                stopping = jmx.thread_group("stopping", jmx.single_write("fails", createNewConnection=False, requestData="x").holding(
                    jmx.constant_timer(3000)))
                stopping.properties["ThreadGroup.on_sample_error"] = "stoptestnow"
                directory = homes.TARGET / "interrupts" / f"stop-{mode}"
                plan = jmx.write(directory / "plan.jmx", jmx.test_plan(waiting, stopping))
                begun = time.monotonic()
                run = jmeter_process.run(homes.ours(), plan, directory, {"webrtc.websocket.compat": mode})
                self.assertLess(time.monotonic() - begun, 60)
                ended = [s["code"] for s in results.read(run.results) if s["label"] == "forever"]
                self.assertEqual(ended, ["CANCELLED"] * 2)

    @staticmethod
    def _outcomes(home: Home, server: ScriptedServer, name: str, properties: dict[str, str]) -> list[tuple[object, ...]]:
        where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port), "path": "/s/s:1500%20t:late"}
        used: dict[str, jmx.Value] = {"createNewConnection": False, "dataType": "Text"}
        timeout = Element("SampleTimeout", "SampleTimeoutGui", "sample timeout", {"InterruptTimer.timeout": "300"})
        group = jmx.thread_group("interrupted", timeout, jmx.open_connection("open", **where),
                                 jmx.single_read("late", **used, readTimeout="8000"), jmx.single_read("never", **used, readTimeout="1000"))
        directory = homes.TARGET / "interrupts" / name
        run = jmeter_process.run(home, jmx.write(directory / "plan.jmx", jmx.test_plan(group)), directory, properties)
        return [(s["label"], s["success"], s["message"]) for s in results.read(run.results)]


if __name__ == "__main__":
    unittest.main()
