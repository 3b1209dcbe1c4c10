#!/usr/bin/env python3
"""Measures what softphones and sockets cost, and writes target/bench/summary.json.

usage: bench/run.py [--sizes 200,1000,2000] [--rounds 5] [--skip-jmeter] [--only PART]

Every figure is the median of its rounds. The lab always runs in a process of its own, so that the figures are
the generator's. Each round of the crate has a round of the bare engine beside it (`examples/bare_engine.rs`), because
only figures of one run can be compared; `ratio to the bare engine` is the median of the rounds' own ratios.
The file is a list of
{"name", "value", "unit", "conditions": {"sessions", "through": "native"|"jmeter", "engine", ...}}, with "limit" where the
figure has a promise to keep: the exit status is 1 when one is above its limit. One part alone is written to
target/bench/some.json instead.
"""
import argparse
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
ENGINE = "webrtc 0.21.1"
# Both processes share the machine: beyond this many talking sessions per core the figure would measure starvation.
TALKING_SESSIONS_PER_CORE = 250

# JSON name of examples/softphone_cost.rs → (figure, unit, whether it needs talking sessions)
NATIVE_FIGURES = {
    "connectsPerSecond": ("connects per second, all at once", "1/s", False),
    "cpuMsPerConnect": ("CPU per connect", "ms", False),
    "kibPerIdleSession": ("memory per idle session", "KiB", False),
    "idleCpuMsPerSecond": ("CPU per idle session and second", "ms", False),
    "kibPerTalkingSession": ("memory per talking session", "KiB", True),
    "cpuMsPerTalkingSecond": ("CPU per talking second", "ms", True),
}

# figure → the most that it may be, in its unit
LIMITS = {
    "memory per idle registered softphone": 60,
    "CPU of all idle registered softphones": 0.5,
    "idle registered softphones that were lost": 0,
    "memory per idle WebSocket, plain": 12,
    "memory per idle WebSocket, TLS": 40,
}

# The promise is about so many. They ping every 14 s: the ramp spreads the pings over that time, and idling is a multiple of it,
# so that all of them ping equally often.
IDLE_SOFTPHONES, IDLE_SECONDS, IDLE_RAMP_SECONDS = 1000, 56, 14

PARTS = ("sessions", "idle-sockets", "idle-softphones", "jni")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="200,1000,2000")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--skip-jmeter", action="store_true")
    arguments.add_argument("--only", choices=PARTS, help="this part alone")
    chosen = arguments.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    parts = [chosen.only] if chosen.only else PARTS

    figures: list[dict] = []
    for sessions in sizes if "sessions" in parts else []:
        figures += native_figures(sessions, chosen.rounds)
        if not chosen.skip_jmeter:
            figures += jmeter_figures(sessions, chosen.rounds)
    if "idle-sockets" in parts:
        figures += idle_socket_figures(max(sizes), chosen.rounds)
    if "idle-softphones" in parts:
        figures += idle_softphone_figures(chosen.rounds)
    if "jni" in parts:
        figures += jni_figures(chosen.rounds)

    target = ROOT / "target" / "bench" / ("some.json" if chosen.only else "summary.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf8")
    for figure in figures:
        limit = f"(at most {figure['limit']}) " if "limit" in figure else ""
        print(f"{figure['name']:68} {figure['value']:>12,.3f} {figure['unit']:4} {limit}{figure['conditions']}")
    print(f"written: {target}")
    above = [figure for figure in figures if figure["value"] > figure.get("limit", math.inf)]
    for figure in above:
        print(f"above its limit: {figure['name']}: {figure['value']:,.3f} {figure['unit']} of {figure['limit']} at most")
    return 1 if above else 0


def figure(name: str, values: list[float], unit: str, **conditions: object) -> dict:
    """One entry of the summary: the median of `values` under `conditions`, and what it may be at most."""
    machine = {"cores": os.cpu_count(), "kernel": platform.release()}
    limit = {"limit": LIMITS[name]} if name in LIMITS else {}
    return {"name": name, "value": statistics.median(values), "unit": unit, **limit,
            "conditions": {"engine": ENGINE, "rounds": len(values), **machine, **conditions}}


@contextmanager
def lab() -> Iterator[dict]:
    """A lab in a process of its own; gives its ready line."""
    process = subprocess.Popen([RELEASE / "webrtc-lab", "--until-stdin-closes"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.read()
        process.wait(timeout=20)


def run_json(command: list[object], timeout: int) -> dict:
    """Runs `command` and reads the last line it prints as JSON."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, timeout=timeout, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def native_figures(sessions: int, rounds: int) -> list[dict]:
    """Costs through the Rust crate alone."""
    talk = sessions <= TALKING_SESSIONS_PER_CORE * (os.cpu_count() or 1)
    size = ["--sessions", sessions, "--talk-seconds", 10 if talk else 0]
    bare, seen, whole = [], [], []
    for number in range(rounds):
        bare.append(run_json([RELEASE / "examples" / "bare_engine", *size], timeout=180))
        for found, trickle in (seen, "yes"), (whole, "no"):
            with lab() as ready:
                softphones = [RELEASE / "examples" / "softphone_cost", "--signaling", ready["signalingUrl"],
                              "--sessions", sessions, "--talk-seconds", size[-1] if trickle == "yes" else 0,
                              "--trickle", trickle]
                found.append(run_json(softphones, timeout=180))
        print(f"native, {sessions} sessions, round {number + 1}: {seen[-1]}; bare engine: {bare[-1]}; "
              f"whole descriptions: {whole[-1]}", file=sys.stderr)
    figures = []
    # The bare engine exchanges whole descriptions; trickle ICE takes three messages more each way.
    for key in ("connectsPerSecond", "cpuMsPerConnect"):
        name, unit, _ = NATIVE_FIGURES[key]
        where = {"sessions": sessions, "through": "native", "trickle": False}
        ratios = [ours[key] / alone[key] for ours, alone in zip(whole, bare)]
        figures += [figure(name, [round_[key] for round_ in whole], unit, **where),
                    figure(f"{name}: ratio to the bare engine", ratios, "", **where)]
    for key, (name, unit, needs_talk) in NATIVE_FIGURES.items():
        if needs_talk and not talk:
            continue
        where = {"sessions": sessions, "through": "native"}
        ratios = [ours[key] / alone[key] for ours, alone in zip(seen, bare)]
        figures += [figure(name, [round_[key] for round_ in seen], unit, **where),
                    figure(f"{name}: the bare engine", [round_[key] for round_ in bare], unit, **where),
                    figure(f"{name}: ratio to the bare engine", ratios, "", **where)]
    return figures


def jmeter_figures(sessions: int, rounds: int) -> list[dict]:
    """Costs of the whole JMeter process, by the demo's own summary; only sizes the machine can talk at."""
    if sessions > TALKING_SESSIONS_PER_CORE * (os.cpu_count() or 1):
        return []
    seen = []
    for _ in range(rounds):
        subprocess.run(["make", "--no-print-directory", "demo", f"SOFTPHONES={sessions}", "HOLD=20"], cwd=ROOT,
                       stdout=sys.stderr, timeout=300, check=True)
        seen.append(json.loads((ROOT / "target" / "demo" / "summary.json").read_text(encoding="utf8")))
    # 20 s of talk each way; the rest of the run is JMeter's start, the connects and the hang-ups
    cpu = [round_["generator"]["cpuSeconds"] * 1000 / sessions / 20 for round_ in seen]
    memory = [round_["generator"]["rssMiB"] * 1024 / sessions for round_ in seen]
    lag = [round_["generator"]["scheduleLagP99Ms"] for round_ in seen]
    ice = [round_["phases"]["ice"]["p95Ms"] for round_ in seen]
    where = {"sessions": sessions, "through": "jmeter"}
    return [figure("CPU per talking second, JVM start included", cpu, "ms", **where),
            figure("memory per session, JVM included", memory, "KiB", **where),
            figure("media schedule lag p99", lag, "ms", **where),
            figure("ICE p95", ice, "ms", **where)]


def idle_socket_figures(sockets: int, rounds: int) -> list[dict]:
    """Memory of one idle WebSocket, plain and over TLS."""
    seen: dict[str, list[float]] = {}
    for _ in range(rounds):
        printed = subprocess.run([RELEASE / "examples" / "idle_sockets", str(sockets)], stdout=subprocess.PIPE,
                                 text=True, timeout=120, check=True).stdout
        for kind, kib in re.findall(r"^(\w+): \d+ idle sockets, ([\d.]+) KiB each", printed, re.MULTILINE):
            seen.setdefault(kind, []).append(float(kib))
    return [figure(f"memory per idle WebSocket, {kind}", values, "KiB", sessions=sockets, through="native")
            for kind, values in seen.items()]


def idle_softphone_figures(rounds: int) -> list[dict]:
    """What Genesys Cloud agents cost that are registered and ping: memory of one, CPU of all."""
    size = [IDLE_SOFTPHONES, IDLE_SECONDS, IDLE_RAMP_SECONDS]
    memory, cpu, lost = [], [], []
    for number in range(rounds):
        printed = subprocess.run([RELEASE / "examples" / "idle_softphones", *map(str, size)], stdout=subprocess.PIPE,
                                 text=True, timeout=sum(size[1:]) + 120, check=True).stdout
        print(f"idle softphones, round {number + 1}: {printed.strip()}", file=sys.stderr)
        found = re.match(r"(\d+) of \d+ stayed registered for \d+ s: ([\d.]+) KiB each, ([\d.]+) % of a core", printed)
        assert found, "examples/idle_softphones.rs prints something else now"
        lost.append(IDLE_SOFTPHONES - int(found[1]))
        memory.append(float(found[2]))
        cpu.append(float(found[3]))
    where = {"sessions": IDLE_SOFTPHONES, "through": "native", "profile": "genesys", "idleSeconds": IDLE_SECONDS,
             "rampSeconds": IDLE_RAMP_SECONDS}
    return [figure("memory per idle registered softphone", memory, "KiB", **where),
            figure("CPU of all idle registered softphones", cpu, "%", **where),
            # Of those that are lost, no round is forgiven.
            figure("idle registered softphones that were lost", [max(lost)], "", **where, rounds=rounds)]


def jni_figures(rounds: int) -> list[dict]:
    """Nanoseconds of one call through JNI."""
    home = ROOT / "target" / "jmeter" / "lib"
    seen = [run_json(["java", "-cp", f"{home}/*:{home}/ext/*", ROOT / "bench" / "CallCost.java"], timeout=120)
            for _ in range(rounds)]
    return [figure(f"JNI call: {name}", [round_[name] for round_ in seen], "ns", sessions=0, through="jmeter")
            for name in seen[0]]


if __name__ == "__main__":
    sys.exit(main())
