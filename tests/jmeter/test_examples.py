"""The plans of `examples/` run as they are, against the lab inside JMeter."""

from __future__ import annotations

import re
from typing import Any

from tests.jmeter.busy_server import BusyServer
from tests.jmeter.runs import ROOT, RealJMeter

EXAMPLES = ROOT / "examples"


class Examples(RealJMeter):
    def test_the_day_of_a_genesys_agent_has_no_failed_sample(self) -> None:
        run = self.run_file(EXAMPLES / "genesys-agent-day.jmx", agents=2, calls=2, talkMax=2000, chatMessages=2)
        self.assertEqual(run.failed(), [])
        expected = {
            "log in: token": 2,
            "Softphone register": 2,
            "WebRTC connect (outbound)": 2,
            "WebRTC connect (inbound)": 4,
            "wrap up": 4,
            "WebRTC hang up": 6,
            "Softphone unregister": 2,
            "log out": 2,
            "chat: poll": 4,
            "chat: end": 2,
        }
        self.assertEqual({label: len(run.labelled(label)) for label in expected}, expected)
        self.assertTrue(all(int(row["webrtc_packetsReceived"]) > 0 for row in run.labelled("WebRTC media check")))
        self.assertEqual(run.labelled("WebRTC lost"), [])
        self.assert_ended_cleanly(run)

    def test_the_search_for_the_upgrade_limit_finds_that_of_the_lab(self) -> None:
        run = self.run_file(EXAMPLES / "websocket-upgrade-limit.jmx", stepSeconds=2, confirmSeconds=6)
        (found,) = run.labelled("WebSocket upgrade limit")
        self.assertEqual(found["success"], "true")
        # The lab takes 10 a second, and ten more at once after a pause; the plan goes in steps of 4.
        said = "The server takes (4|8|12) WebSocket upgrades a second and refuses at (8|12|16) \\(429, Retry-After 1 s\\)"
        self.assertRegex(found["responseMessage"], said)
        self.assertIn(found["responseMessage"], run.output, "it is printed")
        refused = [row for row in run.labelled("WebSocket open") if row["success"] == "false"]
        self.assertEqual({row["responseCode"] for row in refused}, {"429"})
        # A step begins when all upgrades of the one before have come back, so that their times tell which step they are of.
        starts = sorted(int(row["timeStamp"]) for row in run.labelled("WebSocket open"))
        refusals = sorted(int(row["timeStamp"]) + int(row["elapsed"]) for row in refused)
        asked = turned_away = 0
        for opened, refused_then in re.findall(r"WebSocket upgrades: \{.* opened=(\d+), refused=(\d+)\}", run.log):
            asked += int(opened) + int(refused_then)
            turned_away += int(refused_then)
            if int(refused_then):
                self.assertGreater(starts[asked] - refusals[turned_away - 1], 990, "nobody comes again before the second is over")
        self.assertGreater(turned_away, 0, "the log was read wrongly")
        self.assert_ended_cleanly(run)

    def test_the_search_for_the_upgrade_limit_waits_for_a_date(self) -> None:
        with BusyServer(retry_after_seconds=4, as_date=True) as server:
            given: dict[str, Any] = {"server": "127.0.0.1", "port": server.port, "from": 8, "stepSeconds": 1, "confirmSeconds": 2}
            run = self.run_file(EXAMPLES / "websocket-upgrade-limit.jmx", **given)
        (found,) = run.labelled("WebSocket upgrade limit")
        # The date has whole seconds, and so has what is left until then.
        said = r"The server takes 4 WebSocket upgrades a second and refuses at 8 \(503, Retry-After [345] s\)"
        self.assertRegex(found["responseMessage"], said)
        refused, *others = sorted(run.labelled("WebSocket open"), key=lambda row: row["success"] == "true")
        self.assertEqual(refused["responseCode"], "503")
        # Eight upgrades are two seconds of four a second.
        confirming = sorted(int(row["timeStamp"]) for row in others)[-8:]
        self.assertGreater(confirming[0] - int(refused["timeStamp"]), 3900, "nobody comes before that date")
        self.assert_ended_cleanly(run)

    def test_the_first_call_talks(self) -> None:
        run = self.run_file(EXAMPLES / "first-call.jmx", threads=2, hold=500)
        self.assertEqual(run.failed(), [])
        self.assertEqual(len(run.labelled("WebRTC connect")), 2)
        self.assert_ended_cleanly(run)

    def test_the_sip_softphones_register_talk_and_unregister(self) -> None:
        run = self.run_file(EXAMPLES / "sip-call.jmx", threads=2, hold=1000)
        self.assertEqual(run.failed(), [])
        labels = ("Softphone register", "WebRTC connect", "WebRTC media check", "WebRTC hang up", "Softphone unregister")
        self.assertEqual({label: len(run.labelled(label)) for label in labels}, dict.fromkeys(labels, 2))
        self.assertTrue(all(int(row["webrtc_packetsReceived"]) > 0 for row in run.labelled("WebRTC media check")))
        self.assert_ended_cleanly(run)

    def test_the_whip_publishers_send(self) -> None:
        run = self.run_file(EXAMPLES / "whip-publish.jmx", threads=2, hold=1000)
        self.assertEqual(run.failed(), [])
        self.assertTrue(all(int(row["webrtc_packetsSent"]) > 0 for row in run.labelled("WebRTC media check")))
        self.assertEqual(len(run.labelled("Softphone unregister")), 2)
        self.assert_ended_cleanly(run)
