"""Every cause, provoked once: each provocation gets the verdict that it has to get, and healthy calls get none.

All runs take place at once before the first test; each test then looks at one of them. `make causes` runs them 20 times.
"""

from __future__ import annotations

import asyncio
import os
import re
import unittest

from tests.causes.programs import ROOT
from tests.causes.provocations import provocations
from tests.causes.runs import Tally, run_all

#: The table of all causes, made from the enum.
CAUSES = ROOT / "docs/causes.md"
#: Codes that only say what failed.
STEPS = {"ICE_FAILED", "CALL_LOST", "CHECK_FAILED"}
#: Runs at once: they wait most of the time.
PARALLEL = 10


def listed() -> set[str]:
    """The words of the one list of codes."""
    return set(re.findall(r"^\| `([A-Z_]+)` \|", CAUSES.read_text(encoding="utf-8"), re.MULTILINE))


class Provocations(unittest.TestCase):
    """One test per provocation; they are made below."""

    tallies: dict[str, Tally]

    @classmethod
    def setUpClass(cls) -> None:
        if os.geteuid() != 0:
            raise AssertionError("provoking needs root: it makes network namespaces")
        cls.tallies = asyncio.run(run_all(list(provocations().values()), times=1, parallel=PARALLEL))

    def test_every_cause_but_one_is_provoked(self) -> None:
        provoked = {cause for provocation in provocations().values() for cause in provocation.causes}
        self.assertEqual(listed() - provoked, {"ENGINE_FAILED", *STEPS}, "a bug of ours cannot be provoked from outside")
        self.assertEqual(provoked - listed(), set())

    def test_every_code_that_came_is_in_the_list(self) -> None:
        # A step that did not fail may have a verdict, and has no code.
        came = {word for tally in self.tallies.values() for word in tally.codes if word}
        self.assertEqual(came - listed(), set())

    def assert_as_expected(self, name: str) -> None:
        """The one run of a provocation got its verdict."""
        tally = self.tallies[name]
        self.assertEqual({}, dict(tally.faults), f"{tally.provocation.what} {tally.example}")


def _test_of(name: str, what: str) -> object:
    def test(self: Provocations) -> None:
        self.assert_as_expected(name)

    test.__doc__ = what
    return test


for _name, _provocation in provocations().items():
    _expected = "_or_".join(_provocation.causes).lower() or "no_verdict"
    setattr(Provocations, f"test_{_name}_gives_{_expected}", _test_of(_name, _provocation.what))


if __name__ == "__main__":
    unittest.main()
