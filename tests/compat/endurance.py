"""A long run of one thread under a Header Manager, with its memory watched from outside.

usage: python3 -m tests.compat.endurance [ITERATIONS]
"""
from __future__ import annotations

import base64
import hashlib
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.compat import homes, jmx
from tests.compat.homes import Home

SUMMARY = re.compile(r"summary \+ +(\d+) in .* = +([\d.]+)/s")


@dataclass(frozen=True)
class Endurance:
    """Samples per second of each summary interval, and resident memory at the same times, in MiB."""

    rates: list[float]
    memory: list[float]


def run(home: Home, iterations: int, directory: Path, deadline: float = 900) -> Endurance:
    """One thread writes `iterations` frames, every one a sample with one Header Manager in scope."""
    directory.mkdir(parents=True, exist_ok=True)
    with Sink() as port:
        where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(port), "path": "/"}
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.thread_group(
            "writer", jmx.header_manager([("X-One", "1"), ("X-Two", "2")]),
            jmx.controller("OnceOnlyController", "once", None, jmx.open_connection("open", **where)),
            jmx.single_write("write", **where, createNewConnection=False, payloadType="Text", requestData="x"),
            loops=iterations)))
        command = ["java", "-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-Djava.awt.headless=true", "-jar", str(home.launcher),
                   "-n", "-t", str(plan), "-j", str(directory / "jmeter.log"), "-Jsummariser.interval=6"]
        rates, memory = [], []
        with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            timer = threading.Timer(deadline, process.kill)
            timer.start()
            assert process.stdout is not None
            for line in process.stdout:
                if match := SUMMARY.search(line):
                    rates.append(float(match.group(2)))
                    memory.append(_resident(process.pid))
            timer.cancel()
    return Endurance(rates, memory)


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0.0
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]


class Sink:
    """A server that upgrades and then swallows whatever comes."""

    def __enter__(self) -> int:
        self._listening = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    connection, _ = self._listening.accept()
                except OSError:
                    return
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(4096)
                    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head).group(1)  # type: ignore[union-attr]
                    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                       b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
                    while connection.recv(1 << 16):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        port: int = self._listening.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._listening.close()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for name, home in (("ours", homes.ours()), ("original", homes.original()[0])):
        began = time.monotonic()
        outcome = run(home, count, homes.TARGET / "endurance" / name)
        print(name, f"{count / (time.monotonic() - began):.0f}/s over all", outcome)
