"""The report keeps what others put there."""

from __future__ import annotations

import json
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from suite import report


class ReportTest(unittest.TestCase):
    """Several suites add to one report."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self._report = Path(directory.name) / "target" / "interop.json"
        patched = mock.patch.object(report, "REPORT", self._report)
        patched.start()
        self.addCleanup(patched.stop)

    def _cases(self) -> list[tuple[str, str]]:
        return sorted((case["peer"], case["case"]) for case in json.loads(self._report.read_text()))

    def test_suites_that_add_at_the_same_time_lose_nothing(self) -> None:
        peers = [f"peer {number:02}" for number in range(40)]
        with ThreadPoolExecutor(8) as suites:
            list(suites.map(lambda peer: report.put([{"peer": peer, "case": "calls"}], [peer]), peers))
        self.assertEqual(self._cases(), [(peer, "calls") for peer in peers])

    def test_what_a_peer_had_is_replaced_and_what_others_have_stays(self) -> None:
        report.put([{"peer": "Janus", "case": "once"}], ["Janus"])
        report.put([{"peer": "pion", "case": "old"}], ["pion"])
        report.put([{"peer": "pion", "case": "new"}], ["pion", "aiortc"])
        self.assertEqual(self._cases(), [("Janus", "once"), ("pion", "new")])

    def test_a_run_of_some_cases_replaces_these_and_no_other_of_their_peer(self) -> None:
        report.put([{"peer": "Kamailio", "case": name, "ok": False} for name in ("calls", "24 s of idling")], ["Kamailio"])
        report.put([{"peer": "Kamailio", "case": name, "ok": True} for name in ("calls", "600 s of idling")])
        passed = {case["case"]: case["ok"] for case in json.loads(self._report.read_text())}
        self.assertEqual(passed, {"24 s of idling": False, "calls": True, "600 s of idling": True})
