"""A local stand-in for InfluxDB: takes the line protocol of JMeter's Backend Listener and adds up its counts."""

from __future__ import annotations

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Callable


class InfluxSink:
    """An HTTP server on loopback for the time of a `with` block."""

    def __init__(self) -> None:
        lines: list[str] = []

        class Write(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                lines.extend(body.decode("utf-8").splitlines())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the console."""

        self.lines = lines
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Write)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """For the Backend Listener's `influxdbUrl`."""
        return f"http://127.0.0.1:{self._server.server_port}/write?db=jmeter"

    def counts(self) -> tuple[int, int]:
        """Samples and errors over all labels; every line counts what came since the one before."""
        totals = [line for line in self.lines if ",transaction=all,statut=all " in line]

        def total(field: str) -> int:
            return sum(int(number) for line in totals for number in re.findall(rf"[ ,]{field}=(\d+)", line))

        return total("count"), total("countError")

    def settle(self, complete: Callable[[], bool], seconds: float = 20) -> None:
        """Waits until everything is in, at most so long."""
        deadline = time.monotonic() + seconds
        while not complete() and time.monotonic() < deadline:
            time.sleep(0.1)

    def __enter__(self) -> InfluxSink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
