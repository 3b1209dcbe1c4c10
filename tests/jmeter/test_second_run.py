"""A JVM that runs one test after the other, as jmeter-server and the GUI do: each starts clean, and remotely too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from demo.processes import JMeter, terminate
from demo.summary import read_results
from tests.jmeter.plans import call, hang_up, open_socket, think, thread_group, write_plan
from tests.jmeter.runs import JMETER_HOME, RealJMeter, free_port, wait_until

#: JMeter's remote protocol without encryption, on loopback.
REMOTE = {"server.rmi.ssl.disable": "true", "java.rmi.server.hostname": "127.0.0.1"}


class SecondRun(RealJMeter):
    def test_in_the_same_jvm_starts_clean(self) -> None:
        lab = self.lab()
        counters = self.folder / "worker.json"
        port = self.start_worker({"webrtc.summary_file": counters})
        for number, threads in enumerate((7, 4)):
            counters.unlink(missing_ok=True)
            plan = write_plan(
                self.folder / "plan.jmx",
                # The first test leaves everything open: the second must not see it.
                thread_group("remote", open_socket(lab.port), call(), think(300), *[hang_up()] * number, threads=threads),
            )
            results = self.folder / f"results-{number}.jtl"
            self.run_remotely(plan, results, port)
            wait_until(counters.exists, 10, "the counters of the worker")
            seen = json.loads(counters.read_text(encoding="utf-8"))
            self.assertEqual(seen["softphones"]["connected"], threads)
            self.assertEqual(seen["webSockets"]["opened"], threads)
            self.assertEqual(seen["udpSockets"], {"opened": threads, "open": 0})
            rows = read_results(results)
            connected = [row for row in rows if row["label"] == "WebRTC connect"]
            self.assertEqual([row["success"] for row in rows], ["true"] * len(rows))
            self.assertEqual(len(connected), threads)
            self.assertTrue(all(float(row["webrtc_iceMs"]) >= 0 for row in connected), "columns travel")
        self.assertEqual(lab.stop()["callsAnswered"], 11)

    def start_worker(self, properties: dict[str, object]) -> int:
        """A `jmeter -s` that is ended after the test; returns its port."""
        port, log = free_port(), self.folder / "worker.log"
        chosen = {**REMOTE, **properties, "server_port": port, "server.rmi.localport": free_port()}
        command = [str(JMETER_HOME / "bin/jmeter"), "-s", "-j", str(log)]
        command += [f"-{'D' if name.startswith('java.') else 'J'}{name}={value}" for name, value in chosen.items()]
        with (self.folder / "worker.out").open("w", encoding="utf-8") as output:
            worker = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.folder,
                start_new_session=True,
            )
        self.addCleanup(terminate, worker)
        wait_until(lambda: log.exists() and "Bound to RMI registry" in log.read_text(encoding="utf-8"), 60, "the worker")
        return port

    def run_remotely(self, plan: Path, results: Path, port: int) -> None:
        """Runs the plan on the worker and waits for the controller to end."""
        properties = {**REMOTE, "mode": "Standard"}
        with JMeter(JMETER_HOME, plan, results, properties, arguments=["-R", f"127.0.0.1:{port}"]) as controller:
            output = list(controller.lines(60))
            self.assertEqual(controller.wait(10), 0, output)
