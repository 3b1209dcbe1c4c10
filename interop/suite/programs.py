"""Programs that the suite starts: each in a process group of its own, which is ended in every case, by its id.

A program prints JSON lines on standard output (`softphones/ending.py`); what it says on standard error is kept for the report of
a failure. Waiting for a line or for the end always has a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Any

#: How long a program that is told to end may take to close what it opened.
TIDY_UP_S = 5
#: How much of standard error a failure shows.
SHOWN_ERROR_CHARACTERS = 3_000


class Program:
    """One running program; use as `async with`."""

    def __init__(self, command: list[str], folder: Path, keeps_stdin: bool = False) -> None:
        self._command = command
        self._folder = folder
        self._stdin = asyncio.subprocess.PIPE if keeps_stdin else asyncio.subprocess.DEVNULL
        self._process: asyncio.subprocess.Process | None = None
        self._errors = bytearray()
        self._error_reader: asyncio.Task[None] | None = None
        self.unexpected: list[str] = []

    async def __aenter__(self) -> Program:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._folder,
            stdin=self._stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 22,
            start_new_session=True,
        )
        self._error_reader = asyncio.create_task(self._read_errors(self._process))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None and self._error_reader is not None
        if self._process.returncode is None:
            self._end_group(signal.SIGTERM)
            if await self.status(TIDY_UP_S) is None:
                self._end_group(signal.SIGKILL)
        await self._process.wait()
        self._error_reader.cancel()
        await asyncio.gather(self._error_reader, return_exceptions=True)

    @property
    def errors(self) -> str:
        """The end of what it said on standard error."""
        return self._errors.decode(errors="replace")[-SHOWN_ERROR_CHARACTERS:]

    async def line(self, deadline_s: float) -> dict[str, Any] | None:
        """The next JSON line, `None` at the end of output and after the deadline; other lines are kept in `unexpected`."""
        assert self._process is not None and self._process.stdout is not None
        try:
            async with asyncio.timeout(deadline_s):
                while text := await self._process.stdout.readline():
                    try:
                        said = json.loads(text)
                    except ValueError:
                        said = None
                    if isinstance(said, dict):
                        return said
                    self.unexpected.append(text.decode(errors="replace").rstrip())
        except TimeoutError:
            self.unexpected.append(f"(no line within {deadline_s} s)")
        return None

    async def close_stdin(self) -> None:
        """Tells a program that was started with `keeps_stdin` to end."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()

    async def status(self, deadline_s: float) -> int | None:
        """Its exit status; `None` when it is still running after the deadline."""
        assert self._process is not None
        try:
            return await asyncio.wait_for(self._process.wait(), deadline_s)
        except TimeoutError:
            return None

    def _end_group(self, how: signal.Signals) -> None:
        """Signals the program's own group, whose id is its leader's; one that has just ended by itself is no error."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(1 << 16):
            self._errors += chunk
            del self._errors[: -SHOWN_ERROR_CHARACTERS * 4]
