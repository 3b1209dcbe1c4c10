"""Both plugins in one JMeter, as the Plugins Manager leaves it: ours runs the plan and says so, unless it is told not to."""
from __future__ import annotations

import unittest
from collections import Counter
from pathlib import Path

from tests.compat import homes, jmeter_process, jmx, results, shapes
from tests.compat.homes import Home
from tests.compat.scripted_server import ScriptedServer

WHO_RUNS = "jmeter-webrtc runs the WebSocket elements of this plan"
TOGETHER = "the WebSocket Samplers plugin is installed too and takes no part"
MAPPING = homes.ROOT / "jmeter-dropin/src/main/resources/META-INF/resources/org.apache.jmeter.nameupdater.properties"


class InstalledTogetherTest(unittest.TestCase):
    """One plan, three installations."""

    def test_ours_runs_the_plan_and_one_line_of_the_log_says_so(self) -> None:
        alone, log = self._run(homes.ours(), "alone")
        self.assertEqual(log.count(WHO_RUNS), 1)
        self.assertNotIn(TOGETHER, log)
        together, log = self._run(homes.ours_and_original(), "together")
        self.assertEqual(log.count(WHO_RUNS), 1)
        self.assertEqual(log.count(TOGETHER), 1)
        self.assertEqual(together, alone)

    def test_upgrade_properties_give_elements_back_to_the_original(self) -> None:
        old_names = [line.split("=")[0] for line in MAPPING.read_text(encoding="utf8").splitlines() if line.startswith("eu.")]
        self.assertEqual(len(old_names), 22)
        home = homes.ours_and_original("\n".join(f"{name}={name}" for name in old_names))
        given_back, log = self._run(home, "given-back")
        self.assertNotIn(WHO_RUNS, log)
        self.assertIn("rejected as already defined", log)
        self.assertEqual(given_back, self._run(homes.original()[0], "original")[0])

    @staticmethod
    def _run(home: Home, name: str) -> tuple[Counter[tuple[object, ...]], str]:
        directory: Path = homes.TARGET / "together" / name
        directory.mkdir(parents=True, exist_ok=True)
        with ScriptedServer() as server:
            groups = shapes.json_rpc(server.port, directory)
            plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*groups))
            run = jmeter_process.run(home, plan, directory)
        account = Counter(tuple(s[key] for key in ("label", "success", "code", "message")) for s in results.read(run.results))
        return account, run.log.read_text(encoding="utf8", errors="replace")


if __name__ == "__main__":
    unittest.main()
