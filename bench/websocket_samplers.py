#!/usr/bin/env python3
"""Measures an existing plan on the original WebSocket Samplers plugin and on ours, in turns, against the same server.

usage: python3 -m bench.websocket_samplers [--rounds 3] [--threads 1,50,200] [--idle 2000] [--seconds 10]

Throughput: threads that ask and read the echo of five bytes, samples per second by JMeter's own summary, and CPU per
sample of the JMeter process. Idle: connections that are opened and left alone; memory and CPU of the JMeter process.
Writes target/bench/websocket-samplers.json in the form of `bench/run.py`.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compat import homes, jmx
from tests.compat.homes import Home

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "target" / "bench" / "websocket-samplers"
TICKS = os.sysconf("SC_CLK_TCK")
SUMMARY = re.compile(r"summary = +(\d+) in .*= +([\d.]+)/s .*Err: +(\d+)")
JVM = ["-Xms256m", "-Xmx768m", "-Xss256k", "-Djava.awt.headless=true"]
# Gives the memory of dead objects back at once, so that what is left is what the connections hold.
LEAN_JVM = ["-Xms16m", "-Xmx768m", "-Xss256k", "-XX:+UseSerialGC", "-XX:MinHeapFreeRatio=5", "-XX:MaxHeapFreeRatio=10",
            "-Djava.awt.headless=true"]


def main() -> int:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", default="1,50,200")
    arguments.add_argument("--idle", type=int, default=2000)
    arguments.add_argument("--seconds", type=int, default=10)
    chosen = arguments.parse_args()
    original, version = homes.original()
    plugins = ((f"websocket-samplers {version}", original), ("jmeter-webrtc", homes.ours()))
    figures: list[dict[str, object]] = []
    for threads in (int(n) for n in chosen.threads.split(",") if n):
        seen: dict[str, list[tuple[float, float]]] = {}
        for _ in range(chosen.rounds):
            for plugin, home in plugins:
                seen.setdefault(plugin, []).append(throughput(home, threads, chosen.seconds))
        for plugin, values in seen.items():
            figures.append(figure("samples per second", [v[0] for v in values], "1/s", plugin, threads=threads))
            figures.append(figure("CPU per sample", [v[1] for v in values], "µs", plugin, threads=threads))
    if chosen.idle:
        idle_seen: dict[str, list[tuple[float, float]]] = {}
        for _ in range(chosen.rounds):
            for plugin, home in plugins:
                idle_seen.setdefault(plugin, []).append(idle(home, chosen.idle, chosen.seconds))
        for plugin, values in idle_seen.items():
            figures.append(figure("memory of JMeter, idle", [v[0] for v in values], "MiB", plugin, connections=chosen.idle))
            figures.append(figure("CPU of JMeter, idle", [v[1] for v in values], "ms/s", plugin, connections=chosen.idle))
    target = ROOT / "target" / "bench" / "websocket-samplers.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    for one in figures:
        print(f"{one['name']:24} {one['value']:>12,.1f} {one['unit']:5} {one['conditions']}")
    print(f"written: {target}")
    return 0


def figure(name: str, values: list[float], unit: str, plugin: str, **conditions: object) -> dict[str, object]:
    """The median of some rounds."""
    return {"name": name, "value": statistics.median(values), "unit": unit,
            "conditions": {"plugin": plugin, "rounds": len(values), "cores": os.cpu_count(), **conditions}}


def throughput(home: Home, threads: int, seconds: int) -> tuple[float, float]:
    """Samples per second over all threads, and µs of CPU per sample."""
    with echo() as port:
        ask = jmx.request_response("ask", server="127.0.0.1", port=str(port), path="/", createNewConnection=False,
                                   payloadType="Text", requestData="hello", readTimeout="5000")
        group = jmx.thread_group("askers", jmx.controller("OnceOnlyController", "once", None, opening(port)), ask,
                                 threads=threads, loops=-1)
        group.properties |= {"ThreadGroup.scheduler": True, "ThreadGroup.duration": str(seconds)}
        with jmeter(home, jmx.test_plan(group)) as process:
            assert process.stdout is not None
            lines = process.stdout.read().splitlines()
            cpu = os.times().children_user + os.times().children_system
            process.wait()
        cpu = os.times().children_user + os.times().children_system - cpu
    total = next(match for line in reversed(lines) if (match := SUMMARY.search(line)))
    if total.group(3) != "0":
        raise RuntimeError(f"{total.group(3)} samples failed")
    return float(total.group(2)), cpu / int(total.group(1)) * 1e6


def idle(home: Home, connections: int, seconds: int) -> tuple[float, float]:
    """Resident memory in MiB, and ms of CPU per second, while nothing happens."""
    with echo() as port:
        group = jmx.thread_group("idlers", opening(port), jmx.close("close", statusCode="1000").holding(
            jmx.constant_timer((seconds + 30) * 1000)), threads=connections, ramp=10)
        with jmeter(home, jmx.test_plan(group), LEAN_JVM) as process:
            time.sleep(25)
            subprocess.run(["jcmd", str(process.pid), "GC.run"], stdout=subprocess.DEVNULL, check=True)
            time.sleep(2)
            before = used(process.pid)
            time.sleep(seconds)
            after = used(process.pid)
            process.kill()
    return after[0], (after[1] - before[1]) / seconds * 1000


def opening(port: int) -> jmx.Element:
    """The sampler that opens the connection."""
    return jmx.open_connection("open", server="127.0.0.1", port=str(port), path="/", readTimeout="20000")


def used(pid: int) -> tuple[float, float]:
    """Resident memory in MiB and CPU seconds of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    assert resident is not None
    return int(resident.group(1)) / 1024, (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def jmeter(home: Home, plan: jmx.Element, jvm: list[str] = JVM) -> Iterator[subprocess.Popen[str]]:
    """A JMeter in a process of its own, without result file."""
    path = jmx.write(DIRECTORY / "plan.jmx", plan)
    command = ["java", *jvm, "-jar", str(home.launcher), "-n", "-t", str(path), "-j", str(DIRECTORY / "jmeter.log")]
    with subprocess.Popen(command, cwd=DIRECTORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process


@contextmanager
def echo() -> Iterator[int]:
    """The echo server; gives its port."""
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", str(ROOT / "bench" / "EchoServer.java")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
