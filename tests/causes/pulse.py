"""How late this process itself is: whether the machine is calm enough for one fault to be the only one."""

from __future__ import annotations

import asyncio
import time
from collections import deque

INTERVAL_S = 0.02
#: A timer that is later than this is what a softphone calls starved.
LATE_S = 0.1
#: How long calm is waited for before a run; a machine that never is calm gets no better by waiting.
PATIENCE_S = 5
KEPT = 20_000


class Pulse:
    """Sleeps 20 ms at a time and notes how late it wakes; use as `async with`."""

    def __init__(self) -> None:
        self._beats: deque[tuple[float, float]] = deque(maxlen=KEPT)

    async def __aenter__(self) -> Pulse:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *ended: object) -> None:
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            due = time.monotonic() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            now = time.monotonic()
            self._beats.append((now, now - due))

    def was_late(self, since: float) -> bool:
        """Whether a timer was late since then (monotonic seconds)."""
        return any(lag >= LATE_S for at, lag in reversed(self._beats) if at >= since)

    async def calm(self) -> None:
        """Waits until no timer was late for a second, at most `PATIENCE_S`."""
        give_up = time.monotonic() + PATIENCE_S
        while self.was_late(time.monotonic() - 1) and time.monotonic() < give_up:
            await asyncio.sleep(0.2)
