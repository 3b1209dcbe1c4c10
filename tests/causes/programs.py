"""Programs that a provocation runs inside its namespaces: softphones, labs, TURN servers.

Each has a process group of its own, which is ended in every case, by its id. Waiting always has a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.causes.namespaces import Namespace

ROOT = Path(__file__).resolve().parent.parent.parent
BUILT = Path(os.environ.get("WEBRTC_BUILT", ROOT / "target/debug"))
SOFTPHONE = BUILT / "examples/provoked_call"
LAB = BUILT / "webrtc-lab"

START_DEADLINE_S = 30
END_DEADLINE_S = 8
SHOWN_CHARACTERS = 2_000

Line = dict[str, Any]


class ProgramError(Exception):
    """A program did not do what it is there for."""


class Program:
    """One running program whose output is JSON lines; use as `async with`."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._errors: asyncio.Task[None] | None = None
        self._said = bytearray()

    async def __aenter__(self) -> Program:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 22,
            # Of the same session, so that what holds for this process (its share of the CPU) holds for its programs.
            process_group=0,
            env=self._environment,
        )
        self._errors = asyncio.create_task(self._read_errors())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.end()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the program is used before it was started"
        return self._process

    @property
    def pid(self) -> int:
        """Of the program itself: what it is started through replaces itself by it."""
        return self._running.pid

    def signal(self, number: signal.Signals) -> None:
        """Signals its group; a program that has just ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def stop(self) -> None:
        """Stops it until SIGCONT, and waits until it stands still: a thread that is to stop has to get the CPU for that first."""
        self.signal(signal.SIGSTOP)
        async with asyncio.timeout(END_DEADLINE_S):
            while not self._stands_still():
                await asyncio.sleep(0.001)

    def _stands_still(self) -> bool:
        """Whether every thread of it is stopped, or it has ended."""
        for thread in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # The state follows the name, which is in parentheses and may have some itself.
                if thread.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] not in "TtZX":
                    return False
        return True

    async def end(self) -> None:
        """Ends it, first kindly."""
        if self._running.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._running.wait(), END_DEADLINE_S)
            except TimeoutError:
                self.signal(signal.SIGKILL)
                await self._running.wait()
        # What it started itself may still be there.
        self.signal(signal.SIGKILL)
        if self._errors:
            self._errors.cancel()
            await asyncio.gather(self._errors, return_exceptions=True)

    async def line(self, deadline_s: float) -> Line | None:
        """The next JSON line; `None` at the end of the output."""
        assert self._running.stdout is not None
        try:
            async with asyncio.timeout(deadline_s):
                while text := await self._running.stdout.readline():
                    with contextlib.suppress(ValueError):
                        said = json.loads(text)
                        if isinstance(said, dict):
                            return said
                    self._keep(text)
        except TimeoutError:
            raise ProgramError(f"{self._arguments[-2:]}: no line within {deadline_s:g} s; {self.said}") from None
        return None

    async def lines(self, deadline_s: float) -> list[Line]:
        """All JSON lines to its end."""
        found = []
        async with asyncio.timeout(deadline_s):
            while (line := await self.line(deadline_s)) is not None:
                found.append(line)
        return found

    @property
    def said(self) -> str:
        """The end of what it said besides JSON lines."""
        return self._said.decode(errors="replace")[-SHOWN_CHARACTERS:]

    def _keep(self, text: bytes) -> None:
        self._said += text
        del self._said[: -2 * SHOWN_CHARACTERS]

    async def _read_errors(self) -> None:
        assert self._running.stderr is not None
        while text := await self._running.stderr.read(1 << 16):
            self._keep(text)


class Softphone(Program):
    """`examples/provoked_call` with these steps."""

    def __init__(self, namespace: Namespace, steps: list[Line], resolving: bool = False, through: tuple[str, ...] = ()) -> None:
        arguments = namespace.entered(*through, str(SOFTPHONE), json.dumps(steps), resolving=resolving)
        super().__init__(*arguments)
        self._left = len(steps)

    async def line(self, deadline_s: float) -> Line | None:
        """The next line; an end before the last step, without a failure, is a fault of the program."""
        line = await super().line(deadline_s)
        if line is not None:
            # A step that says something in between is none of its own.
            self._left = 0 if not line["ok"] else self._left - (line["step"] != "registered")
        else:
            status = await asyncio.wait_for(self._running.wait(), deadline_s)
            if status != 0 or self._left > 0:
                raise ProgramError(f"the softphone ended with status {status} and {self._left} steps left: {self.said}")
        return line


class Lab(Program):
    """`webrtc-lab` at an address of the namespace, with this configuration."""

    def __init__(self, namespace: Namespace, folder: Path, address: str, **config: Any) -> None:
        file = folder / f"lab-{address}.json"
        file.write_text(json.dumps({"address": address, "allowRemote": True, "port": 8080, "stunPort": 3478, **config}), encoding="utf-8")
        super().__init__(*namespace.entered(str(LAB), "--config", str(file)))

    async def __aenter__(self) -> Lab:
        await super().__aenter__()
        try:
            if await self.line(START_DEADLINE_S) is None:
                raise ProgramError(f"the lab did not start: {self.said}")
        except BaseException:
            await self.end()
            raise
        return self


class Coturn(Program):
    """A TURN server of the distribution, with long-term credentials `alice:wonder` unless `options` say otherwise."""

    def __init__(self, namespace: Namespace, folder: Path, address: str, *options: str, users: bool = True, port: int = 3478) -> None:
        self._address, self._port, self._namespace = address, port, namespace
        named = ["--lt-cred-mech", "--user=alice:wonder"] if users else []
        chosen = [
            "--no-cli", "--no-dtls", f"--log-file={folder}/turnserver-{address}-{port}.log", "--simple-log", "--no-software-attribute", "--realm=causes",
            f"--pidfile={folder}/turnserver-{address}.pid", f"--userdb={folder}/turnserver-{address}.sqlite",
            f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={port}",
            "--relay-threads=1", "--min-port=50000", "--max-port=50100",
        ]  # fmt: skip
        super().__init__(*namespace.entered("turnserver", "-n", *chosen, *named, *options))

    async def __aenter__(self) -> Coturn:
        await super().__aenter__()
        try:
            await self._listening()
        except BaseException:
            await self.end()
            raise
        return self

    async def _listening(self) -> None:
        """Waits until it answers a Binding request."""
        probe = await self._namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        loop = asyncio.get_running_loop()
        with probe:
            try:
                async with asyncio.timeout(START_DEADLINE_S):
                    while True:
                        with contextlib.suppress(OSError):
                            await loop.sock_sendto(probe, bytes.fromhex("000100002112a442") + os.urandom(12), (self._address, self._port))
                            async with asyncio.timeout(0.1):
                                if await loop.sock_recv(probe, 1500):
                                    return
                        await asyncio.sleep(0.02)
            except TimeoutError:
                raise ProgramError(f"turnserver does not answer: {self.said}") from None
