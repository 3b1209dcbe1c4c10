"""Runs provocations, many at a time, and counts what they were said to be."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from tests.causes.namespaces import remove_stale
from tests.causes.programs import ROOT
from tests.causes.provocations import Provocation
from tests.causes.world import Verdict, World

FOLDER = ROOT / "target/causes"
#: A run that takes longer than this is broken: the longest one waits twice for consent to be lost (30 s each).
RUN_DEADLINE_S = 180

#: What stands for a run in which nothing failed, and for one that did not come to its end.
OK, BROKEN = "OK", "BROKEN"


@dataclass
class Tally:
    """All runs of one provocation."""

    provocation: Provocation
    verdicts: Counter[str] = field(default_factory=Counter)
    confidence: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0
    #: What was off, with an example of the evidence.
    faults: Counter[str] = field(default_factory=Counter)
    example: Verdict | None = None

    def take(self, verdict: Verdict | None, seconds: float) -> None:
        """Counts a run that came to its end."""
        self.verdicts[verdict.cause if verdict else OK] += 1
        self.confidence[verdict.confidence if verdict else "none"] += 1
        if verdict:
            self.codes[verdict.code] += 1
        self.seconds = max(self.seconds, seconds)
        found = self.provocation.faults(verdict)
        self.faults.update(found)
        if found or self.example is None:
            self.example = verdict

    def broke(self, why: str, seconds: float) -> None:
        """Counts a run that did not come to its end."""
        self.verdicts[BROKEN] += 1
        self.confidence["none"] += 1
        self.faults[why] += 1
        self.seconds = max(self.seconds, seconds)

    def document(self) -> dict[str, Any]:
        """The entry of `target/causes.json`."""
        return {
            "provoked": self.provocation.name,
            "what": self.provocation.what,
            "expected": list(self.provocation.causes) or [OK],
            "verdicts": dict(self.verdicts),
            "confidence": dict(self.confidence),
            "codes": dict(self.codes),
            "seconds": round(self.seconds, 2),
            "off": dict(self.faults),
            "evidence": list(self.example.evidence) if self.example else [],
            "also": list(self.example.also) if self.example else [],
        }


async def run_all(
    chosen: list[Provocation], times: int, parallel: int, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Tally]:
    """Runs each provocation `times` times, at most `parallel` runs at once, the slow ones first."""
    await remove_stale()
    shutil.rmtree(FOLDER, ignore_errors=True)
    tallies = {provocation.name: Tally(provocation) for provocation in chosen}
    ordered = sorted(chosen, key=lambda provocation: not provocation.slow)
    # Round by round, so that runs of one kind do not all meet.
    waiting = [(provocation, number) for number in range(times) for provocation in ordered]
    total, began = len(waiting), time.monotonic()
    waiting.reverse()
    done = 0

    async def worker() -> None:
        nonlocal done
        while waiting:
            provocation, number = waiting.pop()
            await run(tallies[provocation.name], FOLDER / f"{provocation.name}-{number}")
            done += 1
            if done % max(1, parallel) == 0 or done == total:
                off = sum(bool(tally.faults) for tally in tallies.values())
                progress(f"{done}/{total} runs after {time.monotonic() - began:.0f} s; off: {off}")

    await asyncio.gather(*(worker() for _ in range(parallel)))
    return tallies


async def run(tally: Tally, folder: Path) -> None:
    """Runs one provocation once. What goes wrong in the setting up is a fault of the run, not of all runs."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(RUN_DEADLINE_S), World(folder) as world:
            lines = await tally.provocation.run(world)
            seconds = time.monotonic() - began
            verdict = Verdict.of(lines)
    except Exception as error:  # noqa: BLE001
        where = traceback.extract_tb(error.__traceback__)[-1]
        tally.broke(f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}", time.monotonic() - began)
        return
    tally.take(verdict, seconds)
    if not tally.provocation.faults(verdict):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        (folder / "lines.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
