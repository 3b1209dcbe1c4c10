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
from tests.causes.programs import ROOT, Line
from tests.causes.provocations import Provocation
from tests.causes.pulse import Pulse
from tests.causes.world import Verdict, World

FOLDER = ROOT / "target/causes"
#: A run that takes longer than this is broken: the longest one waits twice for consent to be lost (30 s each).
RUN_DEADLINE_S = 180

#: How often it is told how far the runs are.
PROGRESS_S = 10
#: How often a run is tried on a machine that is starved itself.
ATTEMPTS = 6
STARVED = "GEN_CPU_STARVED"

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
    #: Runs that were done again, because the machine itself was starved meanwhile.
    disturbed: int = 0
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
            "disturbed": self.disturbed,
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
    done, told_at = 0, began
    pulse = Pulse()

    async def worker() -> None:
        nonlocal done, told_at
        while waiting:
            provocation, number = waiting.pop()
            await run(tallies[provocation.name], FOLDER / f"{provocation.name}-{number}", pulse)
            done += 1
            if time.monotonic() - told_at >= PROGRESS_S or done == total:
                told_at = time.monotonic()
                off = sum(bool(tally.faults) for tally in tallies.values())
                again = sum(tally.disturbed for tally in tallies.values())
                progress(f"{done}/{total} runs after {time.monotonic() - began:.0f} s; off: {off}; done again: {again}")

    async with pulse:
        await asyncio.gather(*(worker() for _ in range(parallel)))
    return tallies


async def run(tally: Tally, folder: Path, pulse: Pulse) -> None:
    """Runs one provocation once; again, where the machine itself was starved and that was told before the provoked cause."""
    for attempt in range(ATTEMPTS):
        await pulse.calm()
        began = time.monotonic()
        lines: list[Line] = []
        try:
            async with asyncio.timeout(RUN_DEADLINE_S), World(folder) as world:
                lines = await tally.provocation.run(world)
                seconds = time.monotonic() - began
                verdict = Verdict.of(lines)
        except Exception as error:  # noqa: BLE001
            # What goes wrong in the setting up is a fault of this run, not of all runs.
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"
            tally.broke(why, time.monotonic() - began)
            return
        # Its own word for it: a process that mostly sleeps, as this one, gets the CPU before one that works.
        if attempt + 1 < ATTEMPTS and is_disturbed(tally.provocation, verdict):
            tally.disturbed += 1
            continue
        tally.take(verdict, seconds)
        if tally.provocation.faults(verdict):
            (folder / "lines.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return


def is_disturbed(provocation: Provocation, verdict: Verdict | None) -> bool:
    """Whether the verdict is that the generator was starved, with the provoked cause beside it: two faults at once."""
    if verdict is None or verdict.cause != STARVED or STARVED in provocation.causes:
        return False
    return any(cause in verdict.also for cause in provocation.causes)
