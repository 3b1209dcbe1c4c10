"""What is read out of a softphone's lines, and what counts as the expected verdict. Nothing is provoked here."""

from __future__ import annotations

import unittest
from typing import Any

from tests.causes.provocations import CERTAIN, LIKELY, Provocation
from tests.causes.runs import BROKEN, OK, STARVED, Tally, is_disturbed
from tests.causes.world import Verdict

Line = dict[str, Any]


def line(ok: bool, result: Any = None) -> Line:
    """A softphone's line about one step."""
    return {"step": "call", "ok": ok, "elapsedMs": 1.0, "result": result or {}}


def failure(cause: str, confidence: str = CERTAIN, also: tuple[str, ...] = (), starved: bool = False) -> Line:
    """A failed call with its verdict, as the engine says it."""
    found = {"cause": cause, "confidence": confidence, "evidence": [{"atUs": 7, "fact": "seen"}], "advice": "do"}
    others = [{"cause": other, "confidence": LIKELY, "evidence": []} for other in also]
    return line(False, {"code": "ICE_FAILED", "starved": starved, "error": {"code": "ICE_FAILED", **found, "also": others}})


def provocation(*causes: str, confidence: tuple[str, ...] = (), also: tuple[str, ...] = (), starved: bool | None = None) -> Provocation:
    """One that expects this."""

    async def run(_: object) -> list[Line]:
        return []

    return Provocation("example", "An example.", run, causes, confidence, also, starved, False)


class Verdicts(unittest.TestCase):
    """One behaviour per test."""

    def test_steps_that_all_succeed_have_no_verdict(self) -> None:
        self.assertIsNone(Verdict.of([line(True), line(True, {"state": "connected"})]))

    def test_the_verdict_is_that_of_the_first_failure(self) -> None:
        verdict = Verdict.of([line(True), failure("TURN_QUOTA", also=("GEN_CPU_STARVED",), starved=True), failure("CONFIG")])
        self.assertEqual(
            verdict, Verdict("TURN_QUOTA", CERTAIN, ("GEN_CPU_STARVED",), starved=True, evidence=("seen",), code="ICE_FAILED")
        )

    def test_a_verdict_of_a_step_that_did_not_fail_counts(self) -> None:
        report = {"media": {}, "verdict": {"cause": "MEDIA_NONE_OUT", "confidence": CERTAIN, "evidence": []}}
        verdict = Verdict.of([line(True), line(True, report)])
        self.assertEqual((verdict.cause, verdict.confidence), ("MEDIA_NONE_OUT", CERTAIN))

    def test_a_failure_without_a_verdict_is_seen(self) -> None:
        self.assertEqual(Verdict.of([line(False, {"code": "CONNECT"})]), Verdict("NONE", "none", code="CONNECT"))

    def test_the_expected_verdict_has_no_fault(self) -> None:
        expected = provocation("TURN_QUOTA", confidence=(CERTAIN,), also=("GEN_CPU_STARVED",), starved=True)
        self.assertEqual([], expected.faults(Verdict("TURN_QUOTA", CERTAIN, ("GEN_CPU_STARVED",), starved=True)))

    def test_every_difference_from_the_expected_verdict_is_a_fault(self) -> None:
        expected = provocation("TURN_QUOTA", confidence=(CERTAIN,), also=("GEN_CPU_STARVED",), starved=True)
        self.assertEqual(
            expected.faults(Verdict("ICE_CHECKS_UNANSWERED", LIKELY)),
            [
                "ICE_CHECKS_UNANSWERED instead of TURN_QUOTA",
                "likely instead of certain",
                "GEN_CPU_STARVED is not shown beside it",
                "starved is False",
            ],
        )
        self.assertEqual(expected.faults(None), ["nothing failed"])

    def test_any_verdict_on_a_healthy_run_is_a_fault(self) -> None:
        self.assertEqual([], provocation().faults(None))
        self.assertEqual(1, len(provocation().faults(Verdict("MEDIA_NONE_IN", LIKELY))))

    def test_a_run_on_a_starved_machine_is_disturbed_only_where_the_provoked_cause_stands_beside_it(self) -> None:
        starved = Verdict(STARVED, LIKELY, also=("DTLS_SILENT",))
        self.assertTrue(is_disturbed(provocation("DTLS_SILENT"), starved))
        self.assertFalse(is_disturbed(provocation("TURN_QUOTA"), starved), "the provoked cause was missed")
        self.assertFalse(is_disturbed(provocation(STARVED, "DTLS_SILENT"), starved), "that was provoked")
        self.assertFalse(is_disturbed(provocation("DTLS_SILENT"), None))

    def test_a_tally_counts_verdicts_confidence_and_what_broke(self) -> None:
        tally = Tally(provocation("TURN_QUOTA"))
        tally.take(Verdict("TURN_QUOTA", CERTAIN), 1.0)
        tally.take(None, 2.0)
        tally.broke("no room", 0.5)
        document = tally.document()
        self.assertEqual(document["verdicts"], {"TURN_QUOTA": 1, OK: 1, BROKEN: 1})
        self.assertEqual(document["confidence"], {CERTAIN: 1, "none": 2})
        self.assertEqual(document["off"], {"nothing failed": 1, "no room": 1})


if __name__ == "__main__":
    unittest.main()
