"""One Header Manager in scope of many iterations: do memory and speed stay as they are?

    python3 -m tests.compat.header_manager [--iterations 1000000] [--original]

The plan measures itself: after each tenth of the iterations a script collects garbage and reports the heap that is left and
the CPU time of its thread, which says more than a clock where other programs run too. Fails when a sample is missing or
failed, the last tenth needs more than MOST_MEMORY times the heap or more than MOST_CPU times the CPU time of the first, or a
request for an upgrade has another size than the first.
"""
from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.compat import homes, jmeter_process, jmx
from tests.compat.homes import Home
from tests.compat.scripted_server import ScriptedServer

TENTHS = 10
CONNECTIONS_PER_TENTH = 20
WARM_UP = 5_000
"""Iterations before the first tenth, for the JVM's compiler."""
MOST_MEMORY = 1.3
MOST_CPU = 2.5
HEADERS = [(f"X-Header-{number}", "value of a header of usual length") for number in range(10)]
MEASURE = """
System.gc()
Runtime runtime = Runtime.getRuntime()
long heap = runtime.totalMemory() - runtime.freeMemory()
long cpu = java.lang.management.ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime()
SampleResult.setResponseMessage(heap + " " + cpu)
"""
ONLY_WHAT_IS_READ = {
    "jmeter.save.saveservice.output_format": "csv", "jmeter.save.saveservice.response_data": "false",
    "jmeter.save.saveservice.samplerData": "false", "jmeter.save.saveservice.requestHeaders": "false",
    "jmeter.save.saveservice.responseHeaders": "false", "jmeter.save.saveservice.timestamp_format": "ms",
    "jmeter.save.saveservice.sent_bytes": "true", "jmeter.save.saveservice.url": "false",
    "jmeter.save.saveservice.thread_name": "false",
}


@dataclass(frozen=True)
class Outcome:
    """What the plan measured of itself."""

    missing: int
    """Samples that the plan should have made and did not."""
    failed: int
    """Samples without success."""
    heap: tuple[int, ...]
    """Bytes in use after garbage collection, after each tenth."""
    cpu: tuple[float, ...]
    """CPU seconds of the thread in each tenth."""
    seconds: tuple[float, ...]
    """Duration of each tenth."""
    upgrade_bytes: tuple[int, ...]
    """The different sizes of upgrade requests."""

    @property
    def memory_ratio(self) -> float:
        """Heap after the last tenth by that after the first."""
        return self.heap[-1] / self.heap[0]

    @property
    def cpu_ratio(self) -> float:
        """CPU time of the last tenth by that of the first."""
        return self.cpu[-1] / self.cpu[0]

    @property
    def is_flat(self) -> bool:
        """Nothing is missing, nothing failed and nothing grew."""
        return (self.missing == 0 and self.failed == 0 and len(self.upgrade_bytes) == 1
                and self.memory_ratio <= MOST_MEMORY and self.cpu_ratio <= MOST_CPU)

    def __str__(self) -> str:
        heap, cpu = [round(b / 1e6, 1) for b in self.heap], [round(s, 2) for s in self.cpu]
        return "\n".join([
            f"{self.missing} samples missing, {self.failed} failed; sizes of upgrade requests: {self.upgrade_bytes}",
            f"heap after each tenth, MB: {heap}; last by first {self.memory_ratio:.2f}, at most {MOST_MEMORY}",
            f"CPU of each tenth, s: {cpu}; last by first {self.cpu_ratio:.2f}, at most {MOST_CPU}",
            f"duration of each tenth, s: {[round(s, 1) for s in self.seconds]}"])


def outcome(home: Home, iterations: int, deadline: float) -> Outcome:
    """Runs the plan; a few iterations of each tenth open a connection, the others use it."""
    directory = homes.TARGET / "header-manager" / f"{home.name}-{iterations}"
    messages = iterations // TENTHS - CONNECTIONS_PER_TENTH
    with ScriptedServer() as server:
        tenths = _loop("tenths", TENTHS, _loop("connections", CONNECTIONS_PER_TENTH, _open(server.port)),
                       _loop("messages", messages, _message()), _measure())
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.header_manager(HEADERS), jmx.thread_group(
            "iterating", _open(server.port), _loop("warm up", WARM_UP, _message()), _measure(), tenths)))
        run = jmeter_process.run(home, plan, directory, ONLY_WHAT_IS_READ, java=["-XX:TieredStopAtLevel=4"], deadline=deadline)
    expected = 1 + WARM_UP + 1 + TENTHS * (CONNECTIONS_PER_TENTH + messages + 1)
    return _read(run.results, expected)


def _read(path: Path, expected: int) -> Outcome:
    heap: list[int] = []
    cpu: list[int] = []
    began: list[int] = []
    ended: list[int] = []
    sizes: set[int] = set()
    samples = failed = 0
    with path.open(encoding="utf8", newline="") as rows:
        for row in csv.DictReader(rows):
            samples += 1
            failed += row["success"] != "true"
            if row["label"] == "open":
                sizes.add(int(row["sentBytes"]))
            elif row["label"] == "measure":
                live, nanos = row["responseMessage"].split()
                heap.append(int(live))
                cpu.append(int(nanos))
                began.append(int(row["timeStamp"]))
                ended.append(int(row["timeStamp"]) + int(row["elapsed"]))
    return Outcome(expected - samples, failed, tuple(heap[1:]), tuple((b - a) / 1e9 for a, b in zip(cpu, cpu[1:])),
                   tuple((b - a) / 1e3 for a, b in zip(ended, began[1:])), tuple(sorted(sizes)))


def _open(port: int) -> jmx.Element:
    return jmx.open_connection("open", server="127.0.0.1", port=str(port), path="/e", readTimeout="20000")


def _message() -> jmx.Element:
    return jmx.request_response("message", createNewConnection=False, payloadType="Text", requestData="hello",
                                readTimeout="20000")


def _measure() -> jmx.Element:
    return jmx.script("Sampler", MEASURE, "measure")


def _loop(name: str, loops: int, *children: jmx.Element) -> jmx.Element:
    # The panel of a Loop Controller sets this; without it an inner loop runs only in the first round of the outer one.
    return jmx.controller("LoopController", name, {"LoopController.loops": str(loops),
                                                   "LoopController.continue_forever": True}, *children)


def main() -> int:
    """The long run; returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--iterations", type=int, default=1_000_000, help="iterations (default 1000000)")
    arguments.add_argument("--original", action="store_true", help="the original instead of ours")
    given = arguments.parse_args()
    home = homes.original()[0] if given.original else homes.ours()
    seen = outcome(home, given.iterations, 600 + given.iterations / 100)
    print(f"{home.name}: {seen}")
    return 0 if seen.is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
