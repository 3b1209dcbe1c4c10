"""Headless Chromium as a softphone: its fake microphone beeps, what it gets is played and counted by getStats."""

from __future__ import annotations

import functools
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from . import command_line, devtools, ending
from .ending import CallFailed, Ending

PAGE = Path(__file__).parent / "page"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves the page without a log line per request: standard output is the report."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002 - the signature is the base class's
        return


class PageServer:
    """The softphone page over HTTP on loopback: a microphone needs a secure context, which 127.0.0.1 is."""

    def __enter__(self) -> PageServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(PAGE)))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self._server.server_port}/softphone.html"


async def place_or_answer(options: command_line.Options, report: Ending) -> None:
    """One call of a browser of its own."""
    with PageServer() as server:
        async with devtools.Browser(report) as browser:
            report.version = browser.version
            await browser.open(server.url)
            asked = {
                "signaling": options.signaling,
                "stun": options.stun,
                "call": options.call,
                "answerAs": options.answer_as,
                "codec": options.codec,
                "trickle": options.trickle,
                "video": options.video,
                "film": options.film,
                "holdS": options.hold_s,
                "packets": options.packets,
                "patience": ending.PATIENCE,
                "deadlineS": options.deadline_s,
            }
            await browser.evaluate(f"globalThis.phone = new Softphone({json.dumps(asked)}); phone.ready()", 25)
            if options.role == "answerer":
                ending.say("registered")
            told = await browser.evaluate("phone.ended()", options.deadline_s)
    report.state, report.codec, report.heard = told["state"], told["codec"], told["heard"]
    report.packets_sent, report.packets_received = told["packetsSent"], told["packetsReceived"]
    report.remote_candidate_type = told["remoteCandidateType"]
    report.packets_lost, report.peer_accounts = told["packetsLost"], told["peerAccounts"]
    report.seen.extend(told["seen"])
    if "reason" in told:
        raise CallFailed(told["reason"])


def main() -> None:
    """Runs one call."""
    options = command_line.parse()
    report = Ending(peer="Chromium")

    async def softphone() -> None:
        await place_or_answer(options, report)

    ending.end_with(ending.run(report, options.deadline_s, softphone))


if __name__ == "__main__":
    main()
