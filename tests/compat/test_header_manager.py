"""A Header Manager in scope costs the same in every iteration. `make soak` runs a million of them."""
from __future__ import annotations

import unittest

from tests.compat import header_manager, homes

ITERATIONS = 60_000


class HeaderManagerTest(unittest.TestCase):
    """One thread, one Header Manager, one connection at a time."""

    def test_memory_and_speed_stay_flat_over_many_iterations(self) -> None:
        seen = header_manager.outcome(homes.ours(), ITERATIONS, deadline=400)
        self.assertTrue(seen.is_flat, str(seen))


if __name__ == "__main__":
    unittest.main()
