"""`make causes`: provokes every cause many times, and says which verdicts came of it.

    python3 -m tests.causes --times 20 --parallel 10 --only turn_

Writes `target/causes.json`; the exit code is 1 when a verdict is not the expected one. Needs root, iproute2, nftables,
coturn, and the programs of `cargo build --bin webrtc-lab --example provoked_call`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from typing import Any, Coroutine, TypeVar

from tests.causes.programs import ROOT
from tests.causes.provocations import provocations
from tests.causes.runs import run_all

Result = TypeVar("Result")
RESULTS = ROOT / "target/causes.json"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.causes", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="runs of each provocation (default 20)")
    parser.add_argument("--parallel", type=int, default=10, help="runs at once (default 10)")
    parser.add_argument("--only", default="", metavar="REGEX", help="only provocations whose name matches")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    options = parser.parse_args()
    chosen = [one for name, one in provocations().items() if re.search(options.only, name)]
    if options.list:
        for one in chosen:
            print(f"{one.name:40} {' or '.join(one.causes) or 'OK':40} {one.what}")
        return 0
    if os.geteuid() != 0:
        print("provoking needs root: it makes network namespaces", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        tallies = asyncio.run(until_told_to_end(run_all(chosen, options.times, options.parallel, progress)))
    except asyncio.CancelledError:
        print("ended before all runs were done", file=sys.stderr)
        return 130
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([tally.document() for tally in tallies.values()], indent=1) + "\n", encoding="utf-8")
    off = [tally for tally in tallies.values() if tally.faults]
    for tally in tallies.values():
        verdicts = ", ".join(f"{cause} {count}" for cause, count in tally.verdicts.most_common())
        confidence = ", ".join(f"{word} {count}" for word, count in tally.confidence.most_common())
        print(f"{'off ' if tally.faults else 'ok  '}{tally.provocation.name:40} {verdicts:50} {confidence:24} {tally.seconds:5.1f} s")
        for fault, count in tally.faults.most_common(4):
            print(f"      {count} × {fault}")
        if tally.faults and tally.example:
            print(f"      code {tally.example.code}; also {', '.join(tally.example.also)}; {'; '.join(tally.example.evidence)[:400]}")
    runs = sum(sum(tally.verdicts.values()) for tally in tallies.values())
    if again := sum(tally.disturbed for tally in tallies.values()):
        print(f"{again} runs were done again: this machine was starved meanwhile, and the verdicts said so before the provoked cause")
    print(f"{len(tallies)} provocations, {runs} runs, {time.monotonic() - began:.0f} s; off: {len(off)}; {RESULTS.relative_to(ROOT)}")
    return 1 if off else 0


def progress(text: str) -> None:
    """Says how far it is."""
    print(f"  {text}", flush=True)


async def until_told_to_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Does the work; SIGINT and SIGTERM cancel it, so that everything is taken down."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
