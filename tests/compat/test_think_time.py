"""Sockets behind a server that pings and drops the silent, while the plan thinks.

`COMPAT_THINK_SECONDS=600` makes it ten minutes with a ping every ten seconds, for the original at the same time.
"""
from __future__ import annotations

import os
import threading
import unittest

from tests.compat import homes, jmeter_process, jmx, results, think_time
from tests.compat.homes import Home

SECONDS = float(os.environ.get("COMPAT_THINK_SECONDS", "12"))
INTERVAL = max(1.0, SECONDS / 60)
THREADS = 20


class ThinkTimeTest(unittest.TestCase):
    """The original loses every socket, ours none."""

    def test_only_the_original_loses_sockets_while_the_plan_thinks(self) -> None:
        outcomes: dict[str, tuple[int, int]] = {}
        original, _version = homes.original()
        runs = [threading.Thread(target=lambda h=home: outcomes.update({h.name: _run(h)})) for home in (original, homes.ours())]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        self.assertEqual(outcomes.get("original"), (THREADS, 0), "dropped by the server, successful after thinking")
        self.assertEqual(outcomes.get("ours"), (0, THREADS), "dropped by the server, successful after thinking")


def _run(home: Home) -> tuple[int, int]:
    """Connections that the server has dropped, and samples after the think time that succeeded."""
    directory = homes.TARGET / "think-time" / home.name
    with think_time.PingingServer(INTERVAL) as server:
        plan = jmx.write(directory / "plan.jmx", think_time.plan(server.port, THREADS, SECONDS))
        run = jmeter_process.run(home, plan, directory, deadline=SECONDS + 120)
        done = [sample for sample in results.read(run.results) if sample["label"] == "after thinking" and sample["success"]]
        return server.dropped, len(done)


if __name__ == "__main__":
    unittest.main()
