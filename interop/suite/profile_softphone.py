"""Our softphone in the language of a profile, and the report that its cases go to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from suite import report

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PROGRAM = REPOSITORY / "target/debug/examples/profile_softphone"
#: Registering, connecting, the call and its end have deadlines of their own; beyond their sum it hangs.
DEADLINE_S = 90


def build() -> None:
    """Builds it."""
    subprocess.run(["cargo", "build", "--locked", "--example", PROGRAM.name], cwd=REPOSITORY, check=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Starts one call."""
    return subprocess.Popen([str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True)


def ended(program: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line of a call; what hangs is ended."""
    try:
        output, _ = program.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        program.kill()
        output, _ = program.communicate()
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return lines[-1] if lines else {"event": "failed", "reason": "it said nothing"}


def faults(said: dict[str, Any], *, sent: int = 0, received: int = 0) -> list[str]:
    """What is not as it has to be: ended by us, and at least so many packets."""
    if said.get("event") != "ended" or said.get("by") != "Us":
        return [f"the call did not end by us: {json.dumps(said)}"]
    found = []
    if said["packetsSent"] < sent:
        found.append(f"{said['packetsSent']} packets sent only")
    if said["packetsReceived"] < received:
        found.append(f"{said['packetsReceived']} packets received only")
    return found


def record(peer: str, version: str | None, results: dict[str, list[str]]) -> int:
    """Says what came out and puts it into the report in place of what the peer had there; the exit status."""
    for name, found in results.items():
        print("FAILED" if found else "ok    ", peer, version or "", name, flush=True)
        for fault in found:
            print(f"    {fault}")
    cases = [
        {"peer": peer, "version": version, "case": name, "ok": not found} for name, found in results.items()
    ]
    report.put(cases, [peer])
    return 1 if any(results.values()) else 0
