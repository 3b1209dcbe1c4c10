"""The plans of `examples/` run as they are, against the lab inside JMeter."""

from __future__ import annotations

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
        starts = sorted(int(row["timeStamp"]) for row in run.labelled("WebSocket open"))
        longest = max(later - earlier for earlier, later in zip(starts, starts[1:]))
        self.assertGreater(longest, 900, "nobody comes again before the second is over")
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
