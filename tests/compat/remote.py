"""JMeter workers on loopback, with RMI over TLS as JMeter has it by default."""
from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.compat import jmeter_process
from tests.compat.homes import Home

LOOPBACK = "-Djava.rmi.server.hostname=127.0.0.1"


@dataclass(frozen=True)
class Workers:
    """Running workers."""

    addresses: list[str]
    keystore: Path
    directory: Path

    def run(self, plan: Path, controller: Home) -> jmeter_process.Run:
        """Runs a plan on all of them."""
        return jmeter_process.run(controller, plan, self.directory / "controller", _keystore(self.keystore) | {"mode": "Standard"},
                                  ["-R", ",".join(self.addresses)], [LOOPBACK])


@contextlib.contextmanager
def workers(homes: list[Home], directory: Path) -> Iterator[Workers]:
    """Starts one worker per home; ends them after."""
    keystore = directory / "rmi_keystore.jks"
    if not keystore.is_file():
        subprocess.run(["keytool", "-genkeypair", "-keyalg", "RSA", "-alias", "rmi", "-keystore", str(keystore), "-storepass",
                        "changeit", "-validity", "7", "-dname", "CN=rmi"], check=True, capture_output=True, timeout=60)
    processes, addresses = [], []
    try:
        for number, home in enumerate(homes):
            port, local = _free_port(), _free_port()
            properties = _keystore(keystore) | {"server_port": str(port), "server.rmi.localport": str(local)}
            command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", LOOPBACK, "-jar",
                       str(home.launcher), "-s", "-j", str(directory / f"worker{number}.log"),
                       *(f"-J{key}={value}" for key, value in properties.items())]
            processes.append(subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            addresses.append(f"127.0.0.1:{port}")
        for address in addresses:
            _await(int(address.rpartition(":")[2]))
        yield Workers(addresses, keystore, directory)
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def _keystore(path: Path) -> dict[str, str]:
    return {"server.rmi.ssl.keystore.file": str(path), "server.rmi.ssl.truststore.file": str(path)}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _await(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"no JMeter worker listens on port {port}")
