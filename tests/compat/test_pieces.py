"""A frame that comes in pieces: each of them has the read timeout, filters give all of them one, latency is the first of them."""
from __future__ import annotations

import unittest
import xml.etree.ElementTree as ET

from tests.compat import homes, jmeter_process, jmx
from tests.compat.scripted_server import ScriptedServer

TIMEOUT_MS = 2_000
ASKED = "!s:100 x:8105 s:1200 x:6865 s:1200 x:6c6c6f"
"""`hello`, in time by piece and too late as a whole."""
Sample = ET.Element


class PiecesTest(unittest.TestCase):
    """One plan in strict and in fixed mode."""

    @classmethod
    def setUpClass(cls) -> None:
        with ScriptedServer() as server:
            cls.strict = _run(server, "strict")
            cls.fixed = _run(server, "fixed")

    def test_a_frame_whose_pieces_come_in_time_is_read(self) -> None:
        for mode in (self.strict, self.fixed):
            asks = mode["pieces ask"]
            self.assertEqual((asks.get("s"), asks.findtext("responseData")), ("true", "hello"))
            self.assertGreater(int(asks.get("t", "0")), TIMEOUT_MS)

    def test_latency_is_the_first_piece_in_fixed_mode(self) -> None:
        asks = self.fixed["pieces ask"]
        latency, elapsed = int(asks.get("lt", "0")), int(asks.get("t", "0"))
        self.assertGreaterEqual(latency, 100)
        self.assertLess(latency, elapsed - 1_200)
        self.assertEqual(self.strict["pieces ask"].get("lt"), "0")

    def test_a_frame_of_another_kind_has_a_latency_too(self) -> None:
        self.assertEqual(self.fixed["pieces other"].get("rc"), "Sampler error: unexpected frame type (binary).")
        self.assertGreaterEqual(int(self.fixed["pieces other"].get("lt", "0")), 100)

    def test_with_filters_the_frames_of_a_sample_have_the_timeout_together(self) -> None:
        for mode in (self.strict, self.fixed):
            self.assertEqual(mode["filtered ask"].get("rm"), "WebSocket I/O error: Read timed out")
        # The old plugin has read the frame and lost it.
        self.assertEqual(self.strict["filtered next"].get("rm"), "WebSocket I/O error: Read timed out")
        after = self.fixed["filtered next"]
        self.assertEqual((after.get("s"), after.findtext("responseData")), ("true", "hello"))
        self.assertEqual(after.findtext("responseHeader"),
                         f"webrtc-late-reply: the first frame since 'ask' timed out after {TIMEOUT_MS} ms")


def _run(server: ScriptedServer, mode: str) -> dict[str, Sample]:
    """The samples by group and label."""
    where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port), "path": "/e?sc=pieces"}
    used: dict[str, jmx.Value] = where | {"createNewConnection": False, "readTimeout": str(TIMEOUT_MS)}
    unmatched = jmx.text_filter(comparisonType="Contains", matchValue="something else")
    plan = jmx.test_plan(
        jmx.thread_group("pieces", jmx.open_connection("open", **where), jmx.request_response("ask", **used, requestData=ASKED),
                         jmx.request_response("other", **used, requestData="!s:100 b:cafe")),
        jmx.thread_group("filtered", jmx.open_connection("open", **where),
                         jmx.request_response("ask", **used, requestData=ASKED).holding(unmatched),
                         jmx.single_read("next", **used, dataType="Text")))
    directory = homes.TARGET / "pieces" / mode
    run = jmeter_process.run(homes.ours(), jmx.write(directory / "plan.jmx", plan), directory, {"webrtc.websocket.compat": mode})
    return {f"{str(sample.get('tn')).split(' ')[0]} {sample.get('lb')}": sample for sample in ET.parse(run.results).getroot()}


if __name__ == "__main__":
    unittest.main()
