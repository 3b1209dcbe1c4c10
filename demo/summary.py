"""What a run amounts to: pure functions from JMeter's results, the generator's counters and the lab's counters.

Results are the rows of a JTL in CSV (JMeter's own columns and the `webrtc_*` ones). The generator's counters are
the file that the property `webrtc.summary_file` names, the lab's are the report of `webrtc-lab`.
"""

from __future__ import annotations

import collections
import csv
import math
from pathlib import Path
from typing import Any, Iterable

Row = dict[str, str]

#: Labels of `softphones.jmx`, fixed so that results of different runs can be compared.
OPEN_LABEL = "WebSocket open"
CONNECT_LABEL = "WebRTC connect"

#: Phase of the summary → the samples that carry it and the column (milliseconds) it stands in.
PHASES = {
    "dns": (OPEN_LABEL, "webrtc_dnsMs"),
    "tcp": (OPEN_LABEL, "webrtc_tcpMs"),
    "upgrade": (OPEN_LABEL, "webrtc_upgradeMs"),
    "gather": (CONNECT_LABEL, "webrtc_gatherMs"),
    "ice": (CONNECT_LABEL, "webrtc_iceMs"),
    "dtls": (CONNECT_LABEL, "webrtc_dtlsMs"),
    "firstRtp": (CONNECT_LABEL, "webrtc_firstRtpMs"),
}

GENERATOR = ("cpuSeconds", "rssMiB", "receiveBufferErrors", "scheduleLagP99Ms")


def read_results(path: Path) -> list[Row]:
    """All rows of a JTL in CSV with a header line."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least `share` (0…1) of the values do not exceed (nearest rank); None for no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def phases(rows: list[Row]) -> dict[str, dict[str, float | None]]:
    """p50 and p95 of every phase over the successful samples that have it, in milliseconds."""
    found = {}
    for phase, (label, column) in PHASES.items():
        values = [
            float(row[column])
            for row in rows
            if row["label"] == label and row["success"] == "true" and row.get(column) not in (None, "", "null")
        ]
        found[phase] = {"p50Ms": percentile(values, 0.50), "p95Ms": percentile(values, 0.95)}
    return found


def connected(rows: list[Row]) -> int:
    """Softphones whose call was connected, by JMeter's results."""
    return sum(row["label"] == CONNECT_LABEL and row["success"] == "true" for row in rows)


def summary(softphones: int, rows: list[Row], counters: dict[str, Any], wall_seconds: float) -> dict[str, Any]:
    """The content of `summary.json`."""
    media = counters["media"]
    return {
        "softphones": softphones,
        "connected": connected(rows),
        "failed": softphones - connected(rows),
        "webSocketsOpened": counters["webSockets"]["opened"],
        "udpSocketsOpened": counters["udpSockets"]["opened"],
        "packetsSent": media["packetsSent"],
        "packetsReceived": media["packetsReceived"],
        "packetsLost": media["packetsLost"],
        "phases": phases(rows),
        "generator": {name: counters["generator"][name] for name in GENERATOR},
        "wallSeconds": round(wall_seconds, 3),
    }


def failures(rows: list[Row]) -> list[str]:
    """The failed samples, equal ones counted together, the most frequent first."""
    failed = collections.Counter(
        (row["label"], row["responseCode"], row["responseMessage"]) for row in rows if row["success"] != "true"
    )
    return [f"{count} × {label}: {code} {message}".rstrip() for (label, code, message), count in failed.most_common()]


def problems(softphones: int, rows: list[Row], counters: dict[str, Any], lab: dict[str, Any]) -> list[str]:
    """Everything that is not as it should be, one sentence each; an empty list is a good run.

    A packet may be missing only where a kernel counted a drop: the sender's count less the receiver's must lie
    between zero and the drops of the receiver's sockets, in both directions.
    """
    found = failures(rows)

    def expect(what: str, value: Any, wanted: Any) -> None:
        if value != wanted:
            found.append(f"{what}: {value} instead of {wanted}")

    expect("calls connected, by JMeter's results", connected(rows), softphones)
    expect("calls connected, by the generator", counters["softphones"]["connected"], softphones)
    expect("calls answered, by the lab", lab["callsAnswered"], softphones)
    expect("WebSockets opened, by the generator", counters["webSockets"]["opened"], softphones)
    expect("WebSockets opened, by the lab", lab["socketsOpened"], softphones)
    expect("UDP sockets opened, by the generator", counters["udpSockets"]["opened"], softphones)
    for kind in ("softphones", "webSockets", "udpSockets"):
        expect(f"{kind} left open in the generator", counters[kind]["open"], 0)
    expect("WebSockets left open in the lab", lab["socketsOpen"], 0)
    expect("calls left open in the lab", lab["callsOpen"], 0)

    generator = counters["media"]
    for way, sent, received, drops in (
        ("generator to lab", generator["packetsSent"], lab["packetsReceived"], lab["socketDrops"]),
        ("lab to generator", lab["packetsSent"], generator["packetsReceived"], generator["socketDrops"]),
    ):
        if sent == 0:
            found.append(f"{way}: no packet was sent")
        if not 0 <= sent - received <= drops:
            found.append(f"{way}: {sent} packets sent, {received} received, {drops} dropped by the kernel")
    return found


def table(result: dict[str, Any], counters: dict[str, Any], lab: dict[str, Any]) -> str:
    """The final table for people."""
    generator = result["generator"]
    lines = [
        f"  softphones     {result['connected']:>9,} connected {result['failed']:>9,} failed",
        f"  WebSockets     {result['webSocketsOpened']:>9,} opened    {counters['webSockets']['open']:>9,} left open",
        f"  UDP sockets    {result['udpSocketsOpened']:>9,} opened    {counters['udpSockets']['open']:>9,} left open",
        f"  packets out    {result['packetsSent']:>9,} sent      {lab['packetsReceived']:>9,} received by the lab",
        f"  packets in     {result['packetsReceived']:>9,} received  {lab['packetsSent']:>9,} sent by the lab",
        f"  packets lost   {result['packetsLost']:>9,}",
        "",
        "  phase             p50 ms       p95 ms",
    ]
    for phase, values in result["phases"].items():
        lines.append(f"  {phase:<12}{milliseconds(values['p50Ms']):>12} {milliseconds(values['p95Ms']):>12}")
    lines += [
        "",
        f"  generator      {generator['cpuSeconds']:.1f} s CPU, {generator['rssMiB']:.0f} MiB, "
        f"schedule lag p99 {milliseconds(generator['scheduleLagP99Ms'])} ms, "
        f"{generator['receiveBufferErrors']} receive buffer errors",
        f"  wall time      {result['wallSeconds']:.1f} s",
    ]
    return "\n".join(lines)


def milliseconds(value: float | None) -> str:
    """A time for people; a dash where nothing was measured."""
    return "–" if value is None else f"{value:.2f}"
