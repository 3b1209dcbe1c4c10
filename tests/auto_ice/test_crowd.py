"""Many calls of Auto ICE at once, which fill the cores: runs alone."""
from __future__ import annotations

import unittest

from tests.auto_ice import plans, runs
from tests.auto_ice.runs import CONNECT, LOST

CROWD = 200


class CrowdTest(unittest.TestCase):
    """Many threads, one description."""

    def test_200_threads_that_share_a_description_make_200_different_calls_that_talk_at_once(self) -> None:
        ran, _ = runs.run("crowd", lambda port, files: [plans.crowd(port, CROWD)], "on")
        self.assertEqual([(s["label"], s["code"], s["message"]) for s in ran.samples if not s["success"]], [])
        self.assertEqual(len(ran.told(CONNECT)), CROWD)
        self.assertEqual(ran.told(LOST), [])
        self.assertEqual(sum(call.talks for call in ran.calls), CROWD)
        for secret in ("ufrags", "fingerprints", "ssrcs"):
            seen = {value for call in ran.calls for value in getattr(call, secret)}
            self.assertEqual(len(seen), CROWD, secret)
        self.assertIn(f"at most: {CROWD} calls at a time", ran.output)
        self.assertIn(f"{CROWD} calls, {CROWD} connected, 0 failed, 0 lost, 0 replaced by a new call, 0 never hung up", ran.output)
