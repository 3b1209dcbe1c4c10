"""The verdict finds every fault it is there for."""

from __future__ import annotations

import unittest
from typing import Any

from suite.verdict import Asked, Document, faults

OPUS = Asked(codec="opus", answered_by_lab=False)
OPUS_BY_LAB = Asked(codec="opus", answered_by_lab=True)


def side(sent: int, received: int, **changed: Any) -> Document:
    """A last line of a call that went well, with `changed` fields."""
    accounts = {"packetsSent": received, "packetsReceived": sent, "packetsLost": 0}
    good = {"event": "ended", "state": "connected", "codec": "opus", "heard": True, "peerAccounts": accounts}
    return {**good, "packetsSent": sent, "packetsReceived": received, "packetsLost": 0, **changed}


class Verdict(unittest.TestCase):
    """One behaviour per test."""

    def test_a_call_whose_accounts_agree_has_no_fault(self) -> None:
        self.assertEqual([], faults(OPUS, side(175, 180), side(180, 175)))
        self.assertEqual([], faults(OPUS_BY_LAB, side(175, 180), None))

    def test_a_softphone_without_decoder_is_not_blamed_for_silence(self) -> None:
        self.assertEqual([], faults(OPUS, side(175, 180, heard=None), side(180, 175)))

    def test_silence_is_a_fault(self) -> None:
        self.assertIn("caller: decoded only silence", faults(OPUS, side(175, 180, heard=False), side(180, 175)))

    def test_a_program_without_report_is_a_fault(self) -> None:
        self.assertEqual(["answerer: ended without a report"], faults(OPUS, side(175, 180), None))
        self.assertEqual(["caller: ended without a report"], faults(OPUS_BY_LAB, None, None))

    def test_a_failed_side_tells_its_reason(self) -> None:
        failed = {"event": "failed", "reason": "not connected within 15 s"}
        self.assertEqual(["caller: not connected within 15 s"], faults(OPUS_BY_LAB, failed, None))

    def test_a_missing_packet_is_a_fault_in_either_direction(self) -> None:
        self.assertIn("the caller sent 175 packets, the answerer received 174", faults(OPUS, side(175, 180), side(180, 174)))
        self.assertIn("the answerer sent 181 packets, the caller received 180", faults(OPUS, side(175, 180), side(181, 175)))

    def test_a_missing_packet_at_the_lab_is_a_fault(self) -> None:
        accounts = {"packetsSent": 180, "packetsReceived": 174, "packetsLost": 0}
        found = faults(OPUS_BY_LAB, side(175, 180, peerAccounts=accounts), None)
        self.assertEqual(["the caller sent 175 packets, the answerer received 174"], found)

    def test_an_echo_that_says_more_than_it_heard_is_a_fault(self) -> None:
        echo = Asked(codec="opus", answered_by_lab=True, echoed=True)
        self.assertEqual([], faults(echo, side(175, 174), None))
        self.assertEqual(["the echo sent 178 packets after 175 received"], faults(echo, side(175, 178), None))

    def test_a_lost_packet_is_a_fault(self) -> None:
        self.assertIn("answerer: packetsLost is 1", faults(OPUS, side(175, 180), side(180, 175, packetsLost=1)))

    def test_too_few_packets_are_a_fault(self) -> None:
        found = faults(OPUS, side(99, 180), side(180, 99))
        self.assertIn("caller: packetsSent is 99, expected at least 100", found)
        self.assertIn("answerer: packetsReceived is 99, expected at least 100", found)

    def test_another_codec_than_asked_for_is_a_fault(self) -> None:
        self.assertIn("caller: sent pcmu instead of opus", faults(OPUS, side(175, 180, codec="pcmu"), side(180, 175)))

    def test_candidates_that_were_not_understood_are_a_fault(self) -> None:
        self.assertEqual([], faults(OPUS, side(175, 180, remoteCandidateType="host"), side(180, 175)))
        found = faults(OPUS, side(175, 180, remoteCandidateType="prflx"), side(180, 175))
        self.assertEqual(
            ["caller: knows the other side's address from its checks only: its candidates were not understood"], found
        )

    def test_another_state_than_connected_is_a_fault(self) -> None:
        found = faults(OPUS, side(175, 180), side(180, 175, state="disconnected"))
        self.assertIn("answerer: connectionState disconnected at the end", found)

    def test_a_film_without_video_packets_is_a_fault(self) -> None:
        film = Asked(codec="opus", answered_by_lab=False, filmed=True)
        self.assertEqual([], faults(film, side(175, 180), side(180, 175, otherPacketsReceived=80)))
        self.assertIn("no video packet was received", faults(film, side(175, 180), side(180, 175, otherPacketsReceived=0)))

    def test_a_video_packet_that_nobody_asked_for_is_a_fault(self) -> None:
        found = faults(OPUS, side(175, 180, otherPacketsReceived=3), side(180, 175))
        self.assertEqual(["3 packets came that are none of the audio line"], found)

    def test_a_bye_without_accounts_is_a_fault(self) -> None:
        found = faults(OPUS_BY_LAB, side(175, 180, peerAccounts=None), None)
        self.assertEqual(["caller: the other side's bye had no accounts"], found)

    def test_a_bye_that_says_something_else_than_was_sent_is_a_fault(self) -> None:
        wrong = {"packetsSent": 100, "packetsReceived": 180, "packetsLost": 0}
        found = faults(OPUS, side(175, 180), side(180, 175, peerAccounts=wrong))
        self.assertEqual(["the caller's bye said 100 packets, it sent 175"], found)


if __name__ == "__main__":
    unittest.main()
