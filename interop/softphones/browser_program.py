"""Which Chromium is used. Standard library only: the suite asks before there is an environment."""

from __future__ import annotations

import os
import shutil

#: Names under which Chromium is found on the path, in this order.
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

#: What to do where it is absent.
REMEDY = f"Chromium is absent (none of {', '.join(NAMES)} is on the path): apt-get install chromium, or name it with CHROMIUM=…"


def find() -> str | None:
    """The program that `CHROMIUM` names, or the first of `NAMES` on the path; `None` where there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, NAMES)), None)
