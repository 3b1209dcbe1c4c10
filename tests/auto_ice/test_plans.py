"""Every shape and every habit: the plan's rows are the same with Auto ICE off, reporting and on; on, the calls talk."""
from __future__ import annotations

import unittest
from collections import Counter

from tests.auto_ice import canned, plans, runs
from tests.auto_ice.runs import CONNECT, LOST, Ran

MODES = ("off", "report", "on")


class PlansTest(unittest.TestCase):
    """Against a server that refuses stale ufrags and fingerprints and sends real media."""

    maxDiff = 4000

    def _same_rows_and_talking_calls(self, name: str, make: runs.Make) -> Ran:
        ran: dict[str, Ran] = {}
        cases: list[plans.Case] = []
        for mode in MODES:
            ran[mode], cases = runs.run(name, make, mode)
        want = ran["off"].rows()
        self.assertGreaterEqual(len(want), len(cases), "threads that made rows")
        for mode in ("report", "on"):
            got = ran[mode].rows()
            for thread in sorted(set(want) | set(got)):
                with self.subTest(mode=mode, thread=thread):
                    self.assertEqual(got.get(thread), want.get(thread))
        for mode in ("off", "report"):
            with self.subTest(mode=mode):
                self.assertEqual(ran[mode].told(CONNECT) + ran[mode].told(LOST), [])
                self.assertTrue(ran[mode].calls, "the server saw calls")
                self.assertEqual([call.scenario for call in ran[mode].calls if call.ufrags and not call.stale], [], "live descriptions")
                self.assertIn({"off": "Auto ICE is off", "report": "Auto ICE would replace"}[mode], ran[mode].output)
        for mode in MODES:
            with self.subTest(mode=mode, what="leaks"):
                self.assertEqual((ran[mode].left_open["softphones"], ran[mode].left_open["udpSockets"]), (0, 0))
        live = ran["on"]
        talking = Counter(thread_group(str(row["thread"])) for row in live.told(CONNECT) if row["success"])
        failed = [(row["thread"], row["code"], row["message"]) for row in live.told(CONNECT) if not row["success"]]
        with self.subTest(mode="on", what="calls"):
            self.assertEqual(failed, [])
            self.assertEqual(live.problems, [])
            self.assertEqual([(call.scenario, call.problem, call.ended_by) for call in live.calls
                              if call.ufrags and not call.talks], [], "silent calls")
            self.assertEqual([(call.scenario, call.stale_candidates) for call in live.calls if call.stale_candidates], [])
        for case in cases:
            with self.subTest(mode="on", case=case.name):
                groups = {group.name for group in case.groups}
                self.assertEqual(sum(talking[group] for group in groups), case.talking)
        with self.subTest(mode="on", what="freshness"):
            for secret in ("ufrags", "fingerprints", "ssrcs"):
                seen = [value for call in live.calls for value in getattr(call, secret)]
                self.assertEqual([value for value, times in Counter(seen).items() if times > 1], [], secret)
        return live

    def test_every_shape_talks_and_leaves_the_rows_of_the_plan_as_they_are(self) -> None:
        self._same_rows_and_talking_calls("shapes", plans.all_shapes)

    def test_every_habit_talks_and_leaves_the_rows_of_the_plan_as_they_are(self) -> None:
        live = self._same_rows_and_talking_calls("habits", plans.HABITS)
        self.assertEqual([canned.ROOM in call.sdp for call in live.calls_of("overlay")], [True], "lines of the server's own")
        self.assertEqual(["m=video" in call.sdp for call in live.calls_of("video")], [True])


def thread_group(thread: str) -> str:
    """The group of a thread by its name, `group 1-2`."""
    return thread.rsplit(" ", 1)[0]


if __name__ == "__main__":
    unittest.main()
