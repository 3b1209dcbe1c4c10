"""Requests that the original warns of or refuses: the port of the other scheme, a header with a line break."""
from __future__ import annotations

import unittest

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.jmx import Element
from tests.compat.results import Sample
from tests.compat.scripted_server import ScriptedServer

STRICT = {"webrtc.websocket.compat": "strict"}


class OddRequestsTest(unittest.TestCase):
    """Rows as the original has them, and what the log says."""

    def test_a_connection_to_the_port_of_the_other_scheme_is_warned_of_once(self) -> None:
        def steps() -> list[Element]:
            # Whatever listens there, nothing of it is asked for: the name has no address.
            return [jmx.open_connection(name, server="no.such.host.invalid", port=port, TLS=tls)
                    for name, port, tls in (("secure", "80", True), ("plain", "443", False), ("again", "80", True))]
        want, _ = _run(homes.original()[0], "ports-original", steps(), {})
        got, log = _run(homes.ours(), "ports-ours", steps(), STRICT)
        self.assertEqual(results.differences(want, got), [])
        warnings = [line for line in log.splitlines() if " WARN " in line and "where servers expect" in line]
        self.assertEqual([("with TLS to port 80" in line, "without TLS to port 443" in line) for line in warnings],
                         [(True, False), (False, True)])

    def test_a_header_with_a_line_break_is_refused_in_the_words_of_the_original(self) -> None:
        with ScriptedServer() as server:
            def steps() -> list[Element]:
                where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port), "path": "/e"}
                # A line feed stays in a plan; a carriage return is written as people write it.
                return [jmx.open_connection("line feed", **where).holding(jmx.header_manager([("X-A", "a\nX-B: b")])),
                        jmx.open_connection("both", **where).holding(jmx.header_manager([("X-A", "a${__char(13)}${__char(10)}X-B: b")]))]
            want, _ = _run(homes.original()[0], "headers-original", steps(), {})
            got, _ = _run(homes.ours(), "headers-ours", steps(), STRICT)
        self.assertEqual(results.differences(want, got), [])
        self.assertEqual([(s["success"], s["code"]) for s in got], [(False, "Sampler error")] * 2)


def _run(home: Home, name: str, steps: list[Element], properties: dict[str, str]) -> tuple[list[Sample], str]:
    directory = homes.TARGET / "odd-requests" / name
    plan = jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.thread_group("odd", *steps)))
    run = jmeter_process.run(home, plan, directory, properties)
    return results.read(run.results), run.log.read_text(encoding="utf8", errors="replace")


if __name__ == "__main__":
    unittest.main()
