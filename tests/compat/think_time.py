"""Think time behind a server that pings and drops the silent: how many sockets does a plan still have afterwards?

    python3 -m tests.compat.think_time [--minutes 10] [--ping 10] [--threads 20]

runs the original and ours side by side with that much think time, and fails unless ours kept every socket and the original
lost every one.
"""
from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.pinging_server import PingingServer

SILENT_PINGS = 3
"""How many intervals a client may be silent."""


@dataclass(frozen=True)
class Outcome:
    """What a plan had after its think time."""

    threads: int
    opened: int
    """Connections that the server accepted."""
    dropped: int
    """Connections that the server dropped for silence."""
    answered: int
    """Threads whose request after the think time was answered over the connection from before it."""
    closed: int
    """Threads whose closing handshake succeeded."""

    @property
    def kept_all(self) -> bool:
        """Every thread still had its connection."""
        return self == Outcome(self.threads, self.threads, 0, self.threads, self.threads)

    @property
    def lost_all(self) -> bool:
        """The server dropped every connection, and no thread had use of it."""
        return self == Outcome(self.threads, self.threads, self.threads, 0, 0)


def outcome(home: Home, mode: str, think_seconds: float, ping_seconds: float, threads: int) -> Outcome:
    """Runs open, think time, request-response and close in each of `threads` threads; `mode` is that of the drop-in."""
    directory = homes.TARGET / "think-time" / f"{home.name}-{mode}-{think_seconds:g}s"
    with PingingServer(ping_seconds, SILENT_PINGS * ping_seconds) as server:
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.thread_group(
            "thinking",
            jmx.open_connection("open", server="127.0.0.1", port=str(server.port), path="/", readTimeout="20000"),
            jmx.request_response("after thinking", createNewConnection=False, payloadType="Text", requestData="hello",
                                 readTimeout="20000").holding(
                jmx.constant_timer(int(think_seconds * 1000)),
                # The original has a ping of the server in the way of the answer; that is not what this is about.
                jmx.ping_filter("pings", replyToPing=True, filterType="FilterPingOnly"),
                jmx.response_assertion("hello", kind=8)),
            jmx.close("close", statusCode="1000", readTimeout="20000").holding(
                jmx.ping_filter("pings", replyToPing=True, filterType="FilterPingOnly")),
            threads=threads)))
        run = jmeter_process.run(home, plan, directory, {"webrtc.websocket.compat": mode}, deadline=think_seconds + 180)
        samples = results.read(run.results)

    def successes(label: str) -> int:
        return sum(1 for s in samples if s["label"] == label and s["success"])

    return Outcome(threads, server.accepted, server.dropped, successes("after thinking"), successes("close"))


def main() -> int:
    """The long run; returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10, help="think time (default 10)")
    arguments.add_argument("--ping", type=float, default=10, help="seconds between pings of the server (default 10)")
    arguments.add_argument("--threads", type=int, default=20, help="threads, with a connection each (default 20)")
    given = arguments.parse_args()
    original, version = homes.original()
    with ThreadPoolExecutor(2) as both:
        theirs = both.submit(outcome, original, "none", given.minutes * 60, given.ping, given.threads)
        ours = both.submit(outcome, homes.ours(), "fixed", given.minutes * 60, given.ping, given.threads)
    print(f"original {version}: {theirs.result()}\nours: {ours.result()}")
    return 0 if ours.result().kept_all and theirs.result().lost_all else 1


if __name__ == "__main__":
    sys.exit(main())
