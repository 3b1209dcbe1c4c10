"""Existing plans on remote workers: each worker gives what a local run gives."""
from __future__ import annotations

import unittest
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.compat import homes, jmeter_process, jmx, results, shapes, workers
from tests.compat.homes import Home
from tests.compat.scripted_server import ScriptedServer

Account = Counter[tuple[object, object, object, object]]
SHAPES = ("notifications", "json_rpc", "co_editing", "binary_streaming", "lost_sockets")
DIRECTORY = homes.TARGET / "distributed"
WHO_RUNS = "jmeter-webrtc runs the WebSocket elements of this plan (webrtc.websocket.compat={mode})"


class DistributedTest(unittest.TestCase):
    """Two workers, of which the second has no jar with the mapping of names."""

    complete: workers.Worker
    without_mapping: workers.Worker

    @classmethod
    def setUpClass(cls) -> None:
        cls.properties = workers.keystore(DIRECTORY)
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        cls.complete = stack.enter_context(
            workers.worker(homes.ours(), DIRECTORY / "complete", cls.properties))
        cls.without_mapping = stack.enter_context(
            workers.worker(homes.ours_without_dropin(), DIRECTORY / "without-mapping", cls.properties))

    def test_each_worker_gives_what_a_local_run_gives_with_and_without_the_mapping(self) -> None:
        for mode in ("fixed", "strict"):
            with self.subTest(mode=mode):
                compat = {"webrtc.websocket.compat": mode}
                local = self._run(homes.ours(), f"local-{mode}", compat, [])
                addresses = [self.complete.address, self.without_mapping.address]
                remote = self._run(
                    homes.ours(), f"remote-{mode}", self.properties,
                    ["-R", ",".join(addresses), *(f"-G{key}={value}" for key, value in compat.items())])
                want = _account(local)
                self.assertGreater(len(want), 30)
                for worker in (self.complete, self.without_mapping):
                    got = _account([s for s in remote if str(s["thread"]).startswith(worker.address + "-")])
                    self.assertEqual(got, want)
                    self.assertIn(WHO_RUNS.format(mode=mode), worker.logged())
                    self.assertIn("Created SSLSocket", worker.logged())
                self.assertEqual(sum(_account(remote).values()), 2 * sum(want.values()), "samples of no worker")

    def _run(self, home: Home, name: str, properties: dict[str, str], arguments: list[str]) -> list[results.Sample]:
        directory: Path = DIRECTORY / name
        directory.mkdir(parents=True, exist_ok=True)
        with ScriptedServer() as server:
            groups = [group for shape in SHAPES for group in shapes.ALL[shape](server.port, directory)]
            plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*groups))
            run = jmeter_process.run(home, plan, directory, properties, arguments, workers.LOOPBACK)
        return results.read(run.results)


def _account(samples: list[results.Sample]) -> Account:
    """How often there was which label, success, code and message."""
    return Counter((s["label"], s["success"], s["code"], s["message"]) for s in samples)


if __name__ == "__main__":
    unittest.main()
