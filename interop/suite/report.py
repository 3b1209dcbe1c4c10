"""The report of all suites, `target/interop.json`, which several of them may add to at the same time."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

REPORT = Path(__file__).resolve().parent.parent.parent / "target/interop.json"


def put(cases: list[dict[str, Any]], peers: Collection[str] = ()) -> None:
    """Puts `cases` there, in one step: a reader never sees half of it.

    They replace everything that `peers` had there, as is right for a run of all their cases; without `peers` only the same
    cases of the same peers, as is right for a part of them.
    """
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    # A file of its own: the report is replaced, and with it whatever lock were on it.
    with REPORT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(REPORT.read_text()) if REPORT.exists() else []
        partial = REPORT.with_suffix(".partial")
        names = {(case["peer"], case["case"]) for case in cases}
        kept = (case for case in known if case["peer"] not in peers and (case["peer"], case["case"]) not in names)
        partial.write_text(json.dumps([*kept, *cases], indent=1) + "\n")
        partial.replace(REPORT)
