"""Strict mode beside the rest of the plugin: what is not asked for does not happen."""
from __future__ import annotations

import unittest

from tests.auto_ice import canned, plans
from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.jmx import Element
from tests.compat.results import Sample
from tests.compat.scripted_server import ScriptedServer

OFFER = canned.sdp("offer", newline="\n")
"""With line ends that XML, in the plan and in results, leaves as they are."""
STRICT = {"webrtc.websocket.compat": "strict"}


class StrictModeTest(unittest.TestCase):
    """A plan that sends a canned session description to an echo."""

    def test_a_session_description_goes_out_as_it_stands_in_the_plan(self) -> None:
        samples, wire, output = _run("canned", STRICT)
        self.assertEqual([s["label"] for s in samples], ["open", "ask", "write", "close"], "rows")
        self.assertEqual([s["message"] for s in samples if not s["success"]], [])
        self.assertEqual(samples[1]["data"], OFFER)
        self.assertEqual([event for event in wire if event.startswith("FRAME 81")], [_frame(OFFER)] * 2)
        self.assertIn("does not reach 2 samplers with session descriptions", output)

    def test_the_property_and_the_element_still_win(self) -> None:
        for name, properties, elements in (("property", STRICT | {"webrtc.auto_ice": "on"}, []),
                                           ("element", STRICT, [plans.auto_ice(mode="on")])):
            with self.subTest(name):
                _, wire, output = _run(name, properties, *elements)
                texts = [event for event in wire if event.startswith("FRAME 81")]
                self.assertEqual(len(texts), 2)
                self.assertNotIn(_frame(OFFER), texts)
                self.assertIn("Auto ICE is on", output)


def _frame(text: str) -> str:
    return f"FRAME 81 masked {len(text)} {text[:120].encode()!r}"


def _run(name: str, properties: dict[str, str], *elements: Element) -> tuple[list[Sample], list[str], str]:
    """Samples, wire events and output."""
    directory = homes.TARGET / "strict-mode" / name
    with ScriptedServer() as server:
        where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port), "path": "/e?sc=strict"}
        used: dict[str, jmx.Value] = {"createNewConnection": False, "payloadType": "Text", "requestData": OFFER}
        group = jmx.thread_group("canned", *elements, jmx.open_connection("open", **where),
                                 jmx.request_response("ask", **used), jmx.single_write("write", **used),
                                 jmx.close("close").holding(jmx.text_filter(comparisonType="IsPlain")))
        run = jmeter_process.run(homes.ours(), jmx.write(directory / "plan.jmx", jmx.test_plan(group)), directory, properties)
        return results.read(run.results), server.recorder.take()["strict"], run.output


if __name__ == "__main__":
    unittest.main()
