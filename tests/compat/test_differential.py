"""The same random plans through the original and through ours in strict mode; more of them: `differential.py --help`."""
from __future__ import annotations

import os
import unittest

from tests.compat import differential

SEEDS = [int(seed) for seed in (os.environ.get("COMPAT_SEEDS") or "106 102").split()]
"""One that is direct, one through a proxy and one with client certificates, see `random_plans.batch`, for `make test`; `make test-compat` runs many more."""


class DifferentialTest(unittest.TestCase):
    """Equal results and equal bytes at the server."""

    def test_strict_mode_equals_the_original_on_random_plans(self) -> None:
        self.assertEqual(differential.hunt(SEEDS, 40, "ours"), 0)


if __name__ == "__main__":
    unittest.main()
