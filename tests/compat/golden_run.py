"""The golden plan against the golden server, compared with a recording of it."""
from __future__ import annotations

import contextlib
import io
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.compat import homes, jmeter_process
from tests.compat.golden import compare
from tests.compat.homes import Home
from tests.ports import free_port

GOLDEN = Path(__file__).resolve().parent / "golden"
RECORDED_PORT = "18765"
"""The port of the recording; ours has as many digits, since sizes of requests depend on it."""


def differences(home: Home, expected: str, properties: dict[str, str] | None = None) -> list[str]:
    """The lines that `compare.py` prints; the last one is `N passed, M failed`."""
    directory = homes.TARGET / "golden" / f"{home.name}-{expected}"
    directory.mkdir(parents=True, exist_ok=True)
    port = str(free_port())
    for name in ("plan.jmx", f"{expected}.jsonl"):
        text = (GOLDEN / name).read_text(encoding="utf8")
        (directory / name).write_text(text.replace(RECORDED_PORT, port), encoding="utf8")
    with subprocess.Popen([sys.executable, str(GOLDEN / "server.py"), port], stdout=subprocess.DEVNULL) as server:
        try:
            _await_port(int(port))
            run = jmeter_process.run(home, directory / "plan.jmx", directory / "run",
                                     {"golden.dir": str(GOLDEN)} | (properties or {}))
        finally:
            server.kill()
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        compare.main(str(run.results), str(directory / f"{expected}.jsonl"))
    return re.sub(port, RECORDED_PORT, lines.getvalue()).splitlines()


def _await_port(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"the golden server does not listen on port {port}")
