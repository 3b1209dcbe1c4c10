"""The part of the Chrome DevTools Protocol that a softphone page needs: one browser process, one page, evaluate and await.

The browser gets a new, empty profile directory, listens on loopback only and looks no name up. It is ended by its own process
group when the `async with` block is left, in every case, and its profile is removed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

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
    "--remote-debugging-address=127.0.0.1",
    "--remote-debugging-port=0",
)


class Browser:
    """A headless Chromium with one page."""

    def __init__(self, report: Ending) -> None:
        self.version = ""
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._profile = Path(tempfile.mkdtemp(prefix="softphone-"))
        self._log = self._profile / "browser.log"
        self._page: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
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
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                program,
                *FLAGS,
                f"--user-data-dir={self._profile}",
                "about:blank",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        port = await self._debugging_port(20)
        self.version = (await self._get(port, "version"))["Browser"].removeprefix("Headless").removeprefix("Chrome/")
        page = next(target for target in await self._get(port, "list") if target["type"] == "page")
        self._page = await connect(page["webSocketDebuggerUrl"], max_size=None, open_timeout=10, close_timeout=2, proxy=None)
        self._reader = asyncio.create_task(self._read(self._page))
        await self._command("Page.enable")
        await self._command("Runtime.enable")

    async def _debugging_port(self, deadline_s: float) -> int:
        """The port Chromium wrote into its profile."""
        assert self._process is not None
        told = self._profile / "DevToolsActivePort"
        for _ in range(int(deadline_s / 0.05)):
            if self._process.returncode is not None:
                break
            lines = told.read_text().splitlines() if told.exists() else []
            if len(lines) == 2:
                return int(lines[0])
            await asyncio.sleep(0.05)
        raise CallFailed(f"Chromium did not start within {deadline_s} s; it said: {self._log.read_text(errors='replace')[-600:]}")

    async def _get(self, port: int, what: str) -> Any:
        def fetch() -> Any:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}/json/{what}", timeout=10) as answer:
                return json.load(answer)

        return await asyncio.to_thread(fetch)

    async def _command(self, method: str, deadline_s: float = 10, **parameters: Any) -> dict[str, Any]:
        assert self._page is not None
        self._next_id += 1
        number = self._next_id
        self._replies[number] = asyncio.get_running_loop().create_future()
        await self._page.send(json.dumps({"id": number, "method": method, "params": parameters}))
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

    async def _read(self, page: ClientConnection) -> None:
        try:
            async for text in page:
                self._take(json.loads(text))
        except ConnectionClosed as closed:
            self._report.note(f"the browser's debugging socket closed: {closed}")
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
        if self._page is not None:
            await self._page.close()
        if self._process is not None:
            # The group is the browser's own (start_new_session), and its leader is reaped only below: the id is still ours.
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)
