"""The part of the Chrome DevTools Protocol that a softphone page needs: one browser process, one page, evaluate and await.

The browser gets a new, empty profile directory, listens nowhere (the protocol runs over a pipe) and looks no name up. It is ended
by its own process group when the `async with` block is left, in every case, and its profile is removed; should this program be
killed, the browser goes too, since its pipe ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from . import browser_program
from .ending import CallFailed, Ending

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)

#: Becomes the browser with our pipes where Chromium expects them: it reads commands from descriptor 3 and writes to 4. (A function
#: between fork and exec would be the other way, and is not safe in a program with threads.)
ON_PIPES = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.closerange(5, max(pipes) + 1)
os.execv(sys.argv[3], sys.argv[3:])
"""
#: Longest accepted protocol message, bytes.
MAX_MESSAGE = 1 << 24


class Browser:
    """A headless Chromium with one page."""

    def __init__(self, report: Ending) -> None:
        self.version = ""
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._profile = Path(tempfile.mkdtemp(prefix="softphone-"))
        self._log = self._profile / "browser.log"
        self._commands: asyncio.WriteTransport | None = None
        self._events: asyncio.ReadTransport | None = None
        self._reader: asyncio.Task[None] | None = None
        self._session: str | None = None
        self._next_id = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()

    async def __aenter__(self) -> Browser:
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._end()

    async def open(self, url: str) -> None:
        """Loads a page and waits (10 s) until it has loaded."""
        self._loaded.clear()
        await self._command("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 10)

    async def evaluate(self, expression: str, deadline_s: float) -> Any:
        """The value of a JavaScript expression; a promise is awaited, an exception becomes `CallFailed`."""
        reply = await self._command(
            "Runtime.evaluate", deadline_s, expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in reply:
            thrown = reply["exceptionDetails"]
            raise CallFailed(f"the page threw: {thrown.get('exception', {}).get('description', thrown['text'])}")
        return reply["result"].get("value")

    async def _start(self) -> None:
        program = browser_program.find()
        if program is None:
            raise CallFailed(browser_program.REMEDY)
        commands_out, commands_in = os.pipe()
        events_out, events_in = os.pipe()
        try:
            with self._log.open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    ON_PIPES,
                    str(commands_out),
                    str(events_in),
                    program,
                    *FLAGS,
                    f"--user-data-dir={self._profile}",
                    "about:blank",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(commands_out, events_in),
                    start_new_session=True,
                )
        finally:
            os.close(commands_out)
            os.close(events_in)
            await self._connect(commands_in, events_out)
        try:
            self.version = (await self._command("Browser.getVersion", 20))["product"].split("/")[-1]
        except CallFailed as failure:
            said = self._log.read_text(errors="replace")[-600:]
            raise CallFailed(f"Chromium did not start: {failure}; it said: {said}") from None
        targets = (await self._command("Target.getTargets"))["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = (await self._command("Target.attachToTarget", targetId=page, flatten=True))["sessionId"]
        await self._command("Page.enable")
        await self._command("Runtime.enable")

    async def _connect(self, commands: int, events: int) -> None:
        """Takes over our ends of the two pipes."""
        loop = asyncio.get_running_loop()
        self._commands, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(commands, "wb", 0))
        incoming = asyncio.StreamReader(limit=MAX_MESSAGE)
        protocol = asyncio.StreamReaderProtocol(incoming)
        self._events, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(events, "rb", 0))
        self._reader = asyncio.create_task(self._read(incoming))

    async def _command(self, method: str, deadline_s: float = 10, **parameters: Any) -> dict[str, Any]:
        assert self._commands is not None
        self._next_id += 1
        number = self._next_id
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._replies[number] = asyncio.get_running_loop().create_future()
        self._commands.write(json.dumps(message).encode() + b"\0")
        try:
            reply = await asyncio.wait_for(self._replies[number], deadline_s)
        except TimeoutError:
            raise CallFailed(f"{method} was not answered within {deadline_s} s") from None
        finally:
            del self._replies[number]
        if "error" in reply:
            raise CallFailed(f"{method}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def _read(self, incoming: asyncio.StreamReader) -> None:
        try:
            while True:
                self._take(json.loads((await incoming.readuntil(b"\0"))[:-1]))
        except asyncio.IncompleteReadError:
            self._report.note("the browser closed its pipe")
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(CallFailed("the browser went away"))

    def _take(self, message: dict[str, Any]) -> None:
        reply = self._replies.get(message.get("id", 0))
        if reply is not None and not reply.done():
            reply.set_result(message)
        elif message.get("method") == "Page.loadEventFired":
            self._loaded.set()
        elif message.get("method") == "Runtime.consoleAPICalled":
            words = [str(argument.get("value", argument.get("description"))) for argument in message["params"]["args"]]
            self._report.note(f"console.{message['params']['type']}: {' '.join(words)}")
        elif message.get("method") == "Runtime.exceptionThrown":
            thrown = message["params"]["exceptionDetails"]
            self._report.note(f"uncaught: {thrown.get('exception', {}).get('description', thrown['text'])}")

    async def _end(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        for pipe in (self._commands, self._events):
            if pipe is not None:
                pipe.close()
        if self._process is not None:
            # The group is the browser's own (start_new_session); one that has just ended by itself is no error.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)
