"""One Header Manager in scope of very many samples. `COMPAT_ITERATIONS=1000000` makes it a million."""
from __future__ import annotations

import os
import statistics
import unittest

from tests.compat import endurance, homes

ITERATIONS = int(os.environ.get("COMPAT_ITERATIONS", "400000"))


class HeaderManagerTest(unittest.TestCase):
    """Neither memory nor speed depend on how many samples there were."""

    def test_memory_and_speed_stay_flat_under_a_header_manager(self) -> None:
        outcome = endurance.run(homes.ours(), ITERATIONS, homes.TARGET / "endurance" / "test")
        self.assertGreaterEqual(len(outcome.rates), 3, "too short to say anything")
        rates = outcome.rates[1:]  # the first interval is short and cold
        third = max(1, len(rates) // 3)
        early, late = statistics.median(rates[:third]), statistics.median(rates[-third:])
        # A leak by repeated merging made the old plugin four times slower and tripled its memory within 30,000 samples.
        self.assertGreater(late, early / 2, outcome)
        self.assertLess(max(outcome.memory), 1.5 * outcome.memory[0] + 64, outcome)


if __name__ == "__main__":
    unittest.main()
