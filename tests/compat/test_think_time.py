"""While a plan sleeps, its socket answers pings. `make soak` runs this for ten minutes."""
from __future__ import annotations

import unittest

from tests.compat import homes, think_time

THINK_SECONDS, PING_SECONDS, THREADS = 12, 1, 5


class ThinkTimeTest(unittest.TestCase):
    """A server that pings each second and drops who was silent for three."""

    def test_no_socket_is_lost_in_fixed_mode(self) -> None:
        seen = think_time.outcome(homes.ours(), "fixed", THINK_SECONDS, PING_SECONDS, THREADS)
        self.assertTrue(seen.kept_all, seen)

    def test_strict_mode_loses_every_socket_as_the_original_does(self) -> None:
        original, _version = homes.original()
        theirs = think_time.outcome(original, "none", THINK_SECONDS, PING_SECONDS, THREADS)
        self.assertTrue(theirs.lost_all, theirs)
        ours = think_time.outcome(homes.ours(), "strict", THINK_SECONDS, PING_SECONDS, THREADS)
        self.assertEqual(ours, theirs)


if __name__ == "__main__":
    unittest.main()
