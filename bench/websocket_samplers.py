#!/usr/bin/env python3
"""Measures an existing plan on the original WebSocket Samplers plugin and on ours, in turns, against the same kind of server.

usage: python3 -m bench.websocket_samplers [--starts 3] [--windows 10] [--threads 1,50,200] [--rounds 3] [--idle 2000] [--seconds 10]

Throughput: threads that ask and read the echo of five bytes. Both run at the same time, each with a server of its own; one of them
is stopped (SIGSTOP) while the other is measured, in turns of two seconds, after a warm-up. So a machine whose speed
changes from minute to minute is the same for both: what counts is the ratio, the median of neighbouring windows, over all `--starts`,
since Java's compilers decide anew at each. Samples are the server's answers; CPU is that of the JMeter process. Idle: connections
that are opened and left alone, memory and CPU of the JMeter process, `--rounds` times in turns; and of a few connections, so that what one costs is
told apart from what there is anyway. Writes target/bench/websocket-samplers.json in the form of `bench/run.py`.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.compat import homes, jmx
from tests.compat.homes import Home

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "target" / "bench" / "websocket-samplers"
TICKS = os.sysconf("SC_CLK_TCK")
# Two hundred threads on two cores leave Java's compilers little time.
WARM_UP_S = 30
WINDOW_S = 2
# Of the process that has next to none.
FEW_CONNECTIONS = 20
JVM = ["-Xms256m", "-Xmx768m", "-Xss256k", "-Djava.awt.headless=true"]
# Gives the memory of dead objects back at once, so that what is left is what the connections hold.
LEAN_JVM = ["-Xms16m", "-Xmx768m", "-Xss256k", "-XX:+UseSerialGC", "-XX:MinHeapFreeRatio=5", "-XX:MaxHeapFreeRatio=10",
            "-Djava.awt.headless=true"]


def main() -> int:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--starts", type=int, default=3, help="of both plugins at each number of threads")
    arguments.add_argument("--windows", type=int, default=10, help="of each plugin at each start")
    arguments.add_argument("--threads", default="1,50,200")
    arguments.add_argument("--rounds", type=int, default=3, help="of each plugin with idle connections")
    arguments.add_argument("--idle", type=int, default=2000)
    arguments.add_argument("--seconds", type=int, default=10)
    chosen = arguments.parse_args()
    original, version = homes.original()
    plugins = ((f"websocket-samplers {version}", original), ("jmeter-webrtc", homes.ours()))
    figures: list[dict[str, object]] = []
    for threads in (int(n) for n in chosen.threads.split(",") if n):
        seen: dict[str, list[tuple[float, float]]] = {plugin: [] for plugin, _ in plugins}
        for _ in range(chosen.starts):
            for plugin, windows in throughput(plugins, threads, chosen.windows).items():
                seen[plugin] += windows
        for plugin, values in seen.items():
            figures.append(figure("samples per second", [v[0] for v in values], "1/s", plugin, threads=threads))
            figures.append(figure("CPU per sample", [v[1] for v in values], "µs", plugin, threads=threads))
        theirs, ours = seen.values()
        for number, name in enumerate(("samples per second: ratio", "CPU per sample: ratio")):
            ratios = [mine[number] / other[number] for other, mine in zip(theirs, ours)]
            figures.append(figure(name, ratios, "", "jmeter-webrtc / websocket-samplers", threads=threads))
    if chosen.idle:
        many = chosen.idle
        idle_seen: dict[str, list[list[tuple[float, float]]]] = {plugin: [] for plugin, _ in plugins}
        for _ in range(chosen.rounds):
            for plugin, home in plugins:
                idle_seen[plugin].append([idle(home, count, chosen.seconds) for count in (FEW_CONNECTIONS, many)])
        for plugin, rounds in idle_seen.items():
            more = many - FEW_CONNECTIONS
            figures.append(figure("memory per idle connection", [(m[0] - f[0]) * 1024 / more for f, m in rounds], "KiB", plugin,
                                  connections=many))
            figures.append(figure("CPU per idle connection", [(m[1] - f[1]) * 1000 / more for f, m in rounds], "µs/s", plugin,
                                  connections=many))
            for number, connections in enumerate((FEW_CONNECTIONS, many)):
                values = [each[number] for each in rounds]
                figures.append(figure("memory of JMeter, idle", [v[0] for v in values], "MiB", plugin, connections=connections))
                figures.append(figure("CPU of JMeter, idle", [v[1] for v in values], "ms/s", plugin, connections=connections))
    target = ROOT / "target" / "bench" / "websocket-samplers.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    for one in figures:
        print(f"{one['name']:26} {one['value']:>12,.2f} {one['unit']:5} {one['conditions']}")
    print(f"written: {target}")
    return 0


def figure(name: str, values: list[float], unit: str, plugin: str, **conditions: object) -> dict[str, object]:
    """The median of some rounds."""
    return {"name": name, "value": statistics.median(values), "unit": unit,
            "conditions": {"plugin": plugin, "rounds": len(values), "cores": os.cpu_count(), **conditions}}


def throughput(plugins: tuple[tuple[str, Home], ...], threads: int, windows: int) -> dict[str, list[tuple[float, float]]]:
    """Samples per second over all threads and µs of CPU per sample, window by window, of each plugin."""
    with ExitStack() as running:
        pairs: dict[str, tuple[int, int]] = {}
        for plugin, home in plugins:
            server, port = running.enter_context(echo())
            ask = jmx.request_response("ask", server="127.0.0.1", port=str(port), path="/", createNewConnection=False,
                                       payloadType="Text", requestData="hello", readTimeout="20000")
            group = jmx.thread_group("askers", jmx.controller("OnceOnlyController", "once", None, opening(port)), ask,
                                     threads=threads, loops=-1)
            client = running.enter_context(jmeter(home, jmx.test_plan(group), quiet=True)).pid
            running.callback(os.kill, client, signal.SIGKILL)
            pairs[plugin] = (client, server)
            time.sleep(WARM_UP_S)
            os.kill(client, signal.SIGSTOP)
        seen: dict[str, list[tuple[float, float]]] = {plugin: [] for plugin, _ in plugins}
        for number in range(windows):
            for plugin in sorted(seen, reverse=number % 2 == 1):
                seen[plugin].append(window(*pairs[plugin]))
        return seen


def window(client: int, server: int) -> tuple[float, float]:
    """Samples per second and µs of CPU per sample while a stopped JMeter goes on for a moment."""
    os.kill(client, signal.SIGCONT)
    # What has waited is not counted.
    time.sleep(0.3)
    began, answered, cpu = time.monotonic(), answers(server), used(client)[1]
    time.sleep(WINDOW_S)
    took, samples, spent = time.monotonic() - began, answers(server) - answered, used(client)[1] - cpu
    os.kill(client, signal.SIGSTOP)
    if not samples:
        raise RuntimeError("nothing was asked: see jmeter.log")
    return samples / took, spent / samples * 1e6


def answers(server: int) -> int:
    """How often the echo server has written: once for each answer."""
    io = Path(f"/proc/{server}/io").read_text(encoding="ascii")
    written = re.search(r"syscw: (\d+)", io)
    assert written is not None
    return int(written.group(1))


def idle(home: Home, connections: int, seconds: int) -> tuple[float, float]:
    """Resident memory in MiB, and ms of CPU per second, while nothing happens."""
    with echo() as (_, port):
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
def jmeter(home: Home, plan: jmx.Element, jvm: list[str] = JVM, quiet: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A JMeter in a process of its own, without result file."""
    directory = DIRECTORY / home.name
    path = jmx.write(directory / "plan.jmx", plan)
    command = ["java", *jvm, "-jar", str(home.launcher), "-n", "-t", str(path), "-j", str(directory / "jmeter.log")]
    output = subprocess.DEVNULL if quiet else subprocess.PIPE
    with subprocess.Popen(command, cwd=directory, stdout=output, stderr=subprocess.STDOUT, text=True) as process:
        yield process


@contextmanager
def echo() -> Iterator[tuple[int, int]]:
    """The echo server; gives its process and its port."""
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", str(ROOT / "bench" / "EchoServer.java")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
