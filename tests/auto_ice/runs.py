"""Runs of cases in each mode, and what is compared between them."""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.auto_ice import plans
from tests.auto_ice.plans import Case
from tests.auto_ice.server import Call, SignalingServer
from tests.compat import homes, jmeter_process, results
from tests.compat.results import Sample

TARGET = homes.ROOT / "target" / "auto-ice"
CONNECT, LOST = "WebRTC connect", "WebRTC lost"
TOLD = (CONNECT, LOST)
Make = Callable[[int, Path], "list[Case]"] | Sequence[Callable[[int, Path], Case]]
"""Cases for a port and a folder: all by one function, or each by its own."""
COMPARED = ("label", "success", "code", "message", "data", "dataType", "assertions")
"""What has to be equal in every mode, besides the order."""
UNLIKE = re.compile(r"Content-Length: \d+|\bl: \d+|p\d+/\S+")


@dataclass
class Ran:
    """What one run left."""

    samples: list[Sample]
    calls: list[Call]
    problems: list[str]
    said: set[str]
    output: str
    log: str
    left_open: dict[str, int]

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """The plan's own rows of each thread, without what differs from call to call: a message of the server that has a
        description must have come as it was sent, byte for byte, and is then as good as any other."""
        shown = {_visible(message) for message in self.said}
        rows: dict[str, list[tuple[object, ...]]] = {}
        for sample in self.samples:
            if sample["label"] not in TOLD:
                values = tuple("<as the server sent it>" if field == "data" and sample[field] in shown else sample[field]
                               for field in COMPARED)
                rows.setdefault(str(sample["thread"]), []).append(values)
        # The children of a Parallel Controller end in any order.
        return {thread: sorted(of, key=repr) if thread.endswith(plans.AT_ONCE) else of for thread, of in rows.items()}

    def told(self, label: str) -> list[Sample]:
        """The rows of Auto ICE with this label."""
        return [sample for sample in self.samples if sample["label"] == label]

    def calls_of(self, case: str) -> list[Call]:
        """The calls of one case."""
        return [call for call in self.calls if call.scenario == case]


def _visible(text: str) -> str:
    """As the results file shows characters that XML cannot have."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", lambda match: f"[0x{ord(match.group()):02x}]", text)


def run(name: str, make: Make, mode: str, **properties: str) -> tuple[Ran, list[Case]]:
    """Runs cases as one plan, in one JMeter; in mode `on` against a server that refuses stale descriptions."""
    directory = TARGET / f"{name}-{mode}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with SignalingServer(strict=mode == "on") as server:
        cases = make(server.port, directory) if callable(make) else [one(server.port, directory) for one in make]
        plan = plans.write_cases(directory / "plan.jmx", cases)
        ran = jmeter_process.run(homes.ours_with_parallel_controller(), plan, directory,
                                 {"webrtc.auto_ice": mode, "webrtc.summary_file": str(directory / "summary.json"), **properties},
                                 deadline=240)
        calls = server.finish()
    return Ran(results.read(ran.results), calls, server.problems, server.said, ran.output,
               ran.log.read_text(encoding="utf8", errors="replace"),
               json.loads((directory / "summary.json").read_text(encoding="utf8"))["leftOpen"]), cases
