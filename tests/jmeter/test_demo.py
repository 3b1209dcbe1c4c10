"""`make demo` itself: 200 softphones, and both sides' counters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.jmeter.runs import JMETER_HOME, LAB, ROOT, RealJMeter, wait_until

SOFTPHONES = 200


class Demo(RealJMeter):
    def command(self, *options: str) -> list[str]:
        """The runner with its output in this test's folder."""
        return [sys.executable, str(ROOT / "demo/run.py"), "--jmeter-home", str(JMETER_HOME), "--lab", str(LAB),
                "--output", str(self.folder), *options]

    def test_connects_200_softphones_and_accounts_for_every_packet(self) -> None:
        done = subprocess.run(
            self.command("--softphones", str(SOFTPHONES), "--hold", "10"), capture_output=True, text=True, timeout=240
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        summary = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        for key in ("softphones", "connected", "webSocketsOpened", "udpSocketsOpened"):
            self.assertEqual(summary[key], SOFTPHONES, key)
        self.assertEqual(summary["failed"], 0)
        # 50 packets a second were due; what a slow machine could not send in time is skipped, and said.
        media = json.loads((self.folder / "generator.json").read_text(encoding="utf-8"))["media"]
        self.assertEqual(media["packetsSent"], summary["packetsSent"])
        self.assertGreater(media["packetsSent"] + media["packetsSkipped"], SOFTPHONES * 50 * 9)
        self.assertGreater(media["packetsSent"], media["packetsSkipped"])
        for phase, values in summary["phases"].items():
            self.assertIsNotNone(values["p50Ms"], phase)
            self.assertLessEqual(values["p50Ms"], values["p95Ms"], phase)
        self.assertTrue((self.folder / "report/index.html").exists())
        self.assertTrue((self.folder / "results.jtl").exists())
        live = [line for line in done.stdout.splitlines() if line.startswith("WebRTC ")]
        self.assertGreater(len(live), 5)

    def test_ends_jmeter_and_the_lab_when_it_is_interrupted(self) -> None:
        # A shell that starts the tests in the background has them ignore the interrupt; the runner must not inherit that.
        runner = subprocess.Popen(self.command("--softphones", "10", "--hold", "60"), stdout=subprocess.PIPE, text=True,
                                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.addCleanup(runner.stdout.close)
        self.addCleanup(runner.wait, 20)
        self.addCleanup(runner.kill)
        wait_until(lambda: len(children(runner.pid)) == 2, 20, "JMeter and the lab")
        started = children(runner.pid)
        time.sleep(4)
        os.kill(runner.pid, signal.SIGINT)
        self.assertEqual(runner.wait(20), 130)
        self.assertEqual([pid for pid in started if Path(f"/proc/{pid}").exists()], [])


def children(pid: int) -> list[int]:
    """Process ids of the children of a process (Linux)."""
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
