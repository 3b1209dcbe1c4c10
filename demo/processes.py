"""The two processes of a run, the lab and JMeter: started, listened to, and always ended.

Both run in sessions of their own, so that Ctrl-C reaches this program alone, which then ends them in order.
Leaving a `with` block ends the process within `END_SECONDS` plus a kill, whatever it is doing.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator
from urllib.parse import urlsplit

#: How long a process may take to end when asked, before it is killed, in seconds.
END_SECONDS = 8.0


class RunError(Exception):
    """A process did not do its part; the text says which, what it said last, and what to look at."""


def terminate(process: subprocess.Popen[str], seconds: float = END_SECONDS) -> int:
    """Asks the process to end (SIGTERM), kills it and all of its session when it does not, and returns its status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


class Lines:
    """The lines of a text stream, read by a thread of its own so that waiting for one can have a deadline."""

    def __init__(self, stream: Any) -> None:
        self._queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def next(self, deadline: float) -> str | None:
        """The next line, or None at the end of the stream. Raises `queue.Empty` at `deadline` (monotonic seconds)."""
        return self._queue.get(timeout=max(deadline - time.monotonic(), 0.001))


class Lab:
    """`webrtc-lab` as a process of its own: signaling, answering peers and STUN on loopback."""

    def __init__(self, binary: Path, report: Path, log: Path, config: dict[str, Any] | None = None) -> None:
        """Starts it and waits up to 10 s for its ready line. `config` is the lab's own JSON configuration."""
        report.unlink(missing_ok=True)
        command = [str(binary), "--until-stdin-closes", "--report", str(report)]
        if config:
            path = report.with_name("lab-config.json")
            path.write_text(json.dumps(config), encoding="utf-8")
            command += ["--config", str(path)]
        self._report = report
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        try:
            line = Lines(self._process.stdout).next(time.monotonic() + 10)
            ready = json.loads(line or "")
            self.signaling_url: str = ready["signalingUrl"]
            self.stun_url: str = ready["stunUrl"]
            #: Base URL of its Genesys Cloud counterpart, if it has one.
            self.genesys_url: str | None = ready.get("genesysUrl")
        except (queue.Empty, ValueError, KeyError) as error:
            terminate(self._process)
            raise RunError(f"webrtc-lab did not say that it is ready; its messages are in {log}") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port of its signaling."""
        return urlsplit(self.signaling_url).port or 80

    def stop(self) -> dict[str, Any]:
        """Closes its input, waits for it to end, and returns the counters that it reports."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            terminate(self._process, 0)
            raise RunError(f"webrtc-lab did not end within {END_SECONDS:g} s of being asked") from None
        if status != 0:
            raise RunError(f"webrtc-lab ended with status {status}")
        return json.loads(self._report.read_text(encoding="utf-8"))

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        terminate(self._process)


class JMeter:
    """A JMeter that runs one plan without GUI, as a process of its own."""

    def __init__(
        self,
        home: Path,
        plan: Path,
        results: Path,
        properties: dict[str, Any],
        report: Path | None = None,
        heap: str = "-Xms64m -Xmx512m",
        jvm: list[str] | None = None,
        arguments: list[str] | None = None,
    ) -> None:
        """Starts it.

        `properties` become JMeter properties (`-J`), those that start with `java.` system properties (`-D`). `report` is the
        folder for the HTML report, if wanted; `jvm` and `arguments` are further options of the JVM and of JMeter.
        """
        launcher = (home / "bin" / "jmeter").resolve()
        command = [str(launcher), "-n", "-t", str(plan), "-l", str(results), "-j", str(results.with_name("jmeter.log"))]
        if report:
            command += ["-e", "-o", str(report)]
        command += [f"-{'D' if name.startswith('java.') else 'J'}{name}={value}" for name, value in properties.items()]
        command += arguments or []
        environment = dict(os.environ, HEAP=heap, JVM_ARGS=" ".join(["-Djava.awt.headless=true", *(jvm or [])]))
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        self._lines = Lines(self._process.stdout)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def lines(self, seconds: float) -> Iterator[str]:
        """What it prints, line by line until it ends. Raises `RunError` when that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.next(deadline)
            except queue.Empty:
                raise RunError(f"JMeter was not through after {seconds:g} s") from None
            if line is None:
                return
            yield line

    def wait(self, seconds: float) -> int:
        """Its exit status. Raises `RunError` when it has not ended after `seconds`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RunError(f"JMeter did not end within {seconds:g} s") from None

    def __enter__(self) -> JMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        terminate(self._process)
