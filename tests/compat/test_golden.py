"""The recorded behaviour of the original, case by case."""
from __future__ import annotations

import unittest

from tests.compat import golden_run, homes


class GoldenTest(unittest.TestCase):
    """47 cases of the plugin that existing plans were written for."""

    def test_strict_mode_is_as_recorded_in_every_case(self) -> None:
        lines = golden_run.differences(homes.ours(), "expected", {"webrtc.websocket.compat": "strict"})
        self.assertEqual(lines, ["47 passed, 0 failed"])

    def test_fixed_mode_differs_only_where_it_is_written_down(self) -> None:
        lines = golden_run.differences(homes.ours(), "expected-fixed")
        self.assertEqual(lines, ["47 passed, 0 failed"])

    def test_the_original_is_still_as_recorded(self) -> None:
        home, _version = homes.original()
        self.assertEqual(golden_run.differences(home, "expected"), ["47 passed, 0 failed"])


if __name__ == "__main__":
    unittest.main()
