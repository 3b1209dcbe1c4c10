"""JMeter's remote mode on loopback: workers in processes of their own, and a controller."""

from __future__ import annotations

import subprocess
from pathlib import Path

from demo.processes import JMeter, terminate
from tests.jmeter.runs import JMETER_HOME, RealJMeter, wait_until
from tests.ports import free_port

#: JMeter's remote protocol without encryption, on loopback.
REMOTE = {"server.rmi.ssl.disable": "true", "java.rmi.server.hostname": "127.0.0.1"}


class RemoteJMeter(RealJMeter):
    """A test that runs plans on workers."""

    def start_worker(self, properties: dict[str, object], name: str = "worker") -> int:
        """A `jmeter -s` that is ended after the test; returns its port."""
        port, log = free_port(), self.folder / f"{name}.log"
        chosen = {**REMOTE, **properties, "server_port": port, "server.rmi.localport": free_port()}
        command = [str(JMETER_HOME / "bin/jmeter"), "-s", "-j", str(log)]
        command += [f"-{'D' if name.startswith('java.') else 'J'}{name}={value}" for name, value in chosen.items()]
        with (self.folder / f"{name}.out").open("w", encoding="utf-8") as output:
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
        wait_until(lambda: log.exists() and "Bound to RMI registry" in log.read_text(encoding="utf-8"), 120, "the worker")
        return port

    def run_remotely(
        self, plan: Path, results: Path, *ports: int, mode: str = "StrippedBatch", report: Path | None = None
    ) -> list[str]:
        """Runs the plan on the workers, waits for the controller to end, and returns what it printed.

        `mode` is how workers send samples; JMeter's own default is StrippedBatch, without response data.
        """
        workers = ",".join(f"127.0.0.1:{port}" for port in ports)
        properties = {**REMOTE, "mode": mode}
        with JMeter(JMETER_HOME, plan, results, properties, report, arguments=["-R", workers]) as controller:
            output = list(controller.lines(240))
            self.assertEqual(controller.wait(10), 0, output)
        return output
