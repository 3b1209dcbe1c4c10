"""All provocations, and what each is expected to be said to be.

A provocation is a coroutine that sets up one fault in a `World`, lets a softphone run into it and gives the softphone's
lines. Nothing in it depends on chance or on how fast this machine is.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from typing import Awaitable, Callable

from tests.causes.programs import Line, ProgramError
from tests.causes.world import Verdict, World

Run = Callable[[World], Awaitable["list[Line]"]]

CERTAIN, LIKELY, AMBIGUOUS = "certain", "likely", "ambiguous"


@dataclass(frozen=True)
class Provocation:
    """One fault, and the verdict it has to get."""

    name: str
    #: What is done, in a sentence.
    what: str
    run: Run
    #: Acceptable causes; none = nothing may fail.
    causes: tuple[str, ...]
    #: Acceptable confidences; none = any.
    confidence: tuple[str, ...]
    #: Causes that have to be shown beside the verdict.
    also: tuple[str, ...]
    #: Whether the sample has to be marked as taken on a starved generator; `None` = either.
    starved: bool | None
    #: Whether a run takes half a minute or more, because a loss of consent does; such runs are started first.
    slow: bool
    #: Why it cannot be done on this machine; `None` where it can.
    impossible: str | None = None

    def faults(self, verdict: Verdict | None) -> list[str]:
        """In which ways this verdict is not the expected one."""
        if not self.causes:
            return [] if verdict is None else [f"a failure where all was well: {verdict.code} {verdict.cause}"]
        if verdict is None:
            return ["nothing failed"]
        found = []
        if verdict.cause not in self.causes:
            found.append(f"{verdict.cause} instead of {' or '.join(self.causes)}")
        if self.confidence and verdict.confidence not in self.confidence:
            found.append(f"{verdict.confidence} instead of {' or '.join(self.confidence)}")
        found += [f"{cause} is not shown beside it" for cause in self.also if cause not in verdict.also]
        if self.starved is not None and verdict.starved != self.starved:
            found.append(f"starved is {verdict.starved}")
        return found


ALL: dict[str, Provocation] = {}


def provokes(
    *causes: str,
    confidence: str | tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    starved: bool | None = None,
    slow: bool = False,
    impossible: str | None = None,
) -> Callable[[Run], Run]:
    """Enters a coroutine into the list; its name and its docstring's first line are the provocation's."""

    def enter(run: Run) -> Run:
        name = run.__name__
        if name in ALL:
            raise ValueError(f"two provocations are named {name}")
        what = (run.__doc__ or "").strip().splitlines()[0]
        confidences = (confidence,) if isinstance(confidence, str) else confidence
        ALL[name] = Provocation(name, what, run, causes, confidences, also, starved, slow, impossible)
        return run

    return enter


def told(lines: list[Line], words: str) -> None:
    """Raises where a softphone's lines do not have these words, such as evidence that a verdict has to rest on."""
    if words not in json.dumps(lines):
        raise ProgramError(f"nothing says '{words}': {lines}")


@functools.cache
def provocations() -> dict[str, Provocation]:
    """All that can be done on this machine, by name; told about the others once."""
    # Importing these modules fills the list.
    from tests.causes import connections, generator, healthy, ice, media, relays  # noqa: F401

    for one in ALL.values():
        if one.impossible:
            print(f"not provoked here: {one.name}: {one.impossible}", file=sys.stderr)
    return {name: one for name, one in ALL.items() if not one.impossible}
