"""What a softphone prints: JSON lines on standard output, of which the last one says how the call ended.

`{"event":"registered"}` once an answering softphone can be called, then one of
`{"event":"ended", …Ending}` (exit status 0) and `{"event":"failed","reason":…, …Ending}` (exit status 1).
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Ending:
    """What a softphone counted; JSON names are the camelCase of these.

    Packets are RTP packets by the softphone's own getStats. `heard` tells whether decoded audio had energy, `None` where the
    softphone has no decoder. `remote_candidate_type` is the W3C `RTCIceCandidateType` of the other side in the selected pair,
    `None` where the stack does not turn `prflx` into the signaled type once it knows it. `peer_accounts` is the `media` object of
    the other side's `bye`, `None` until it came.
    """

    peer: str
    version: str | None = None
    state: str = "new"
    codec: str | None = None
    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    heard: bool | None = None
    remote_candidate_type: str | None = None
    peer_accounts: dict[str, Any] | None = None
    seen: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def note(self, text: str) -> None:
        """Keeps what happened, with its time in ms, for the report of a failure."""
        self.seen.append(f"{(time.monotonic() - self.started) * 1000:.0f} ms {text}")

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        values = asdict(self)
        del values["started"]
        return {_camel_case(name): value for name, value in values.items()}


#: How many times its hold a caller waits for the packets it is to see; a machine under load makes them late.
PATIENCE = 5


class CallFailed(Exception):
    """The call cannot go on; the text says what failed and what was seen."""


def say(event: str, **values: Any) -> None:
    """Prints one event line."""
    print(json.dumps({"event": event, **values}), flush=True)


def run(ending: Ending, deadline_s: float, softphone: Callable[[], Awaitable[None]]) -> int:
    """Runs `softphone` to its end or deadline, prints the last line and returns the exit status."""

    async def bounded() -> None:
        me = asyncio.current_task()
        assert me is not None
        # Told to end, a softphone still closes what it opened.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
        async with asyncio.timeout(deadline_s):
            await softphone()

    try:
        asyncio.run(bounded())
    except TimeoutError:
        say("failed", reason=f"not done within {deadline_s} s", **ending.document())
        return 1
    except asyncio.CancelledError:
        say("failed", reason="told to end", **ending.document())
        return 1
    except CallFailed as failure:
        say("failed", reason=str(failure), **ending.document())
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a foreign stack raises is the evidence of this case
        say("failed", reason=f"{type(error).__name__}: {error}", **ending.document())
        return 1
    say("ended", **ending.document())
    return 0


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def end_with(status: int) -> None:
    """Leaves with `status` once everything printed is out."""
    sys.stdout.flush()
    sys.exit(status)
