"""JMeter workers (`jmeter-server`) on loopback, with RMI over TLS as JMeter has it by default."""
from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compat.homes import Home
from tests.ports import free_port

LOOPBACK = ["-Djava.rmi.server.hostname=127.0.0.1"]
"""What keeps the RMI listeners of worker and controller on loopback."""
STARTED_WITHIN = 120
ENDED_WITHIN = 20


class WorkerFailed(RuntimeError):
    """A worker did not come up; the text carries the end of its output."""


def keystore(directory: Path) -> dict[str, str]:
    """Makes a key store for RMI and returns the JMeter properties that name it, for both sides."""
    directory.mkdir(parents=True, exist_ok=True)
    store = directory / "rmi_keystore.jks"
    store.unlink(missing_ok=True)
    subprocess.run(["keytool", "-genkeypair", "-keyalg", "RSA", "-alias", "rmi", "-keystore", str(store), "-storetype", "JKS",
                    "-storepass", "changeit", "-keypass", "changeit", "-validity", "2", "-dname", "CN=rmi",
                    "-ext", "san=ip:127.0.0.1"], check=True, capture_output=True, timeout=60)
    return {"server.rmi.ssl.keystore.file": str(store)}


@contextmanager
def worker(home: Home, directory: Path, properties: dict[str, str]) -> Iterator[Worker]:
    """A worker that accepts tests; it is ended when the context is left."""
    directory.mkdir(parents=True, exist_ok=True)
    port, log, output = free_port(), directory / "worker.log", directory / "worker.out"
    log.unlink(missing_ok=True)
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", *LOOPBACK,
               "-jar", str(home.launcher), "-s", "-j", str(log), f"-Jserver_port={port}"]
    command += [f"-J{key}={value}" for key, value in properties.items()]
    with output.open("wb") as out, subprocess.Popen(command, cwd=directory, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            deadline = time.monotonic() + STARTED_WITHIN
            while "Created remote object" not in output.read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise WorkerFailed(f"worker of '{home.name}' did not start:\n{output.read_text(errors='replace')[-2000:]}")
                time.sleep(0.2)
            yield Worker(f"127.0.0.1:{port}", log)
        finally:
            process.terminate()
            try:
                process.wait(ENDED_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()


class Worker:
    """A running worker."""

    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        """For `-R`, and what the names of its threads begin with."""
        self._log = log

    def logged(self) -> str:
        """Its log so far."""
        return self._log.read_text(encoding="utf8", errors="replace")
