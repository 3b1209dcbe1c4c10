"""JsSIP in headless Chromium: calls, dials by RTCDTMFSender, hangs up.

    browser_phone.py PAGE_FOLDER URL USER PASSWORD TARGET TONES

PAGE_FOLDER has `dialling_page.js` bundled and is served on loopback. Prints one JSON line with the event `ended` and what was seen.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from softphones import devtools  # noqa: E402
from softphones.ending import Ending  # noqa: E402

#: How long the whole call may take.
DEADLINE_S = 40


class Quiet(SimpleHTTPRequestHandler):
    """Serves without a log line per request: standard output is the report."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002 - the signature is the base class's
        return


async def dial(page: str, asked: dict[str, str]) -> dict[str, Any]:
    """One call of a browser of its own: what it saw."""
    async with devtools.Browser(Ending(peer="Chromium")) as browser:
        await browser.open(page)
        told: dict[str, Any] = await browser.evaluate(f"dial({json.dumps(asked)})", DEADLINE_S)
        return {**told, "browser": browser.version}


def main() -> int:
    """Serves the page and makes the call."""
    folder, *given = sys.argv[1:]
    asked = dict(zip(("url", "user", "password", "target", "tones"), given, strict=True))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        told = asyncio.run(asyncio.wait_for(dial(f"http://127.0.0.1:{server.server_port}/dialling.html", asked), DEADLINE_S + 20))
    finally:
        server.shutdown()
        server.server_close()
    print(json.dumps({"event": "ended", **told}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
