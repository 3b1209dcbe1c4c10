#!/usr/bin/env python3
"""Runs N softphones through a real JMeter against the lab, and says what happened.

Starts `webrtc-lab` as a process of its own, runs JMeter without GUI with `softphones.jmx`, passes the plugin's live
line through, compares the counters of both sides with JMeter's results, and writes into the output folder:
`results.jtl`, `report/` (HTML), `summary.json`, `generator.json` and `lab.json` (the counters of both sides),
`jmeter.log`, `jmeter.out` and `lab.log`.

Exit status: 0 when every softphone connected, every packet is accounted for and nothing was left open; 1 when not;
2 for wrong options; 130 when interrupted. Needs Python 3.9 and nothing besides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo.processes import JMeter, Lab, RunError  # noqa: E402
from demo.summary import failures, problems, read_results, summary, table  # noqa: E402

#: Media is checked this often while a call is held, in seconds.
CHECK_SECONDS = 5
#: The start gate: as many WebSockets are opened, and calls set up, at the same time.
HANDSHAKES_AT_ONCE = 64
#: Descriptors per softphone (WebSocket, UDP) and of the JVM itself.
FILES_PER_SOFTPHONE, FILES_OF_JMETER = 2, 512


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line; wrong values end the program with status 2 and a sentence."""
    parser = argparse.ArgumentParser(description="N softphones through a real JMeter against the lab")
    here = Path(__file__).resolve().parent
    parser.add_argument("--softphones", type=int, default=200, metavar="N", help="how many (default 200)")
    parser.add_argument("--hold", type=int, default=20, metavar="S", help="seconds each call is held (default 20)")
    parser.add_argument("--ramp", type=int, metavar="S", help="seconds to start them all (default: 25 per second)")
    parser.add_argument("--plan", type=Path, default=here / "softphones.jmx")
    parser.add_argument("--jmeter-home", type=Path, default=here.parent / "target/jmeter")
    parser.add_argument("--lab", type=Path, default=here.parent / "target/release/webrtc-lab")
    parser.add_argument("--output", type=Path, default=here.parent / "target/demo")
    chosen = parser.parse_args(arguments)
    if chosen.ramp is None:
        chosen.ramp = max(1, round(chosen.softphones / 25))
    for name, least, most in (("softphones", 1, 20_000), ("hold", 1, 86_400), ("ramp", 0, 86_400)):
        if not least <= getattr(chosen, name) <= most:
            parser.error(f"--{name} must be {least} to {most}, not {getattr(chosen, name)}")
    for name, path in (("--jmeter-home", chosen.jmeter_home / "bin/jmeter"), ("--lab", chosen.lab), ("--plan", chosen.plan)):
        if not path.exists():
            parser.error(f"{name}: {path} does not exist; `make demo` builds what is needed")
    return chosen


def allow_open_files(needed: int) -> None:
    """Raises the soft limit of open files to the hard one; the children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RunError(f"{needed} open files are needed and the hard limit is {hard}: raise it (ulimit -Hn) first")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def loopback_name() -> tuple[str, str]:
    """A name of this machine and the loopback address it stands for.

    The host's own name where it means a loopback address (as Debian's installer sets it up), so that names are really
    resolved; otherwise `localhost`, which never reaches a resolver (RFC 6761 §6.3), so that the phase `dns` has no value.
    """
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = ""
    return (name, address) if address.startswith("127.") else ("localhost", "127.0.0.1")


def write_json(path: Path, value: Any) -> None:
    """Writes the file in one step."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def run(chosen: argparse.Namespace) -> int:
    """The whole run; returns the exit status."""
    allow_open_files(chosen.softphones * FILES_PER_SOFTPHONE + FILES_OF_JMETER)
    output: Path = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    report, results, counters_file = output / "report", output / "results.jtl", output / "generator.json"
    shutil.rmtree(report, ignore_errors=True)
    for path in (results, counters_file, output / "summary.json"):
        path.unlink(missing_ok=True)

    print(f"{chosen.softphones} softphones, started within {chosen.ramp} s, each holding for {chosen.hold} s")
    name, address = loopback_name()
    with Lab(chosen.lab, output / "lab.json", output / "lab.log", {"address": address}) as lab:
        properties = {
            "softphones": chosen.softphones,
            "ramp": chosen.ramp,
            "checks": max(1, chosen.hold // CHECK_SECONDS),
            "check_ms": chosen.hold * 1000 // max(1, chosen.hold // CHECK_SECONDS),
            "lab_host": name,
            "lab_port": lab.port,
            "lab_stun": lab.stun_url,
            "webrtc.progress_s": 2,
            "webrtc.gate.inFlight": HANDSHAKES_AT_ONCE,
            "webrtc.summary_file": counters_file,
            "jmeter.reportgenerator.overall_granularity": 1000,
            "summariser.out": "false",
        }
        with JMeter(chosen.jmeter_home, chosen.plan, results, properties, report) as jmeter:
            follow(jmeter, output / "jmeter.out", seconds=chosen.ramp + chosen.hold + 90 + chosen.softphones / 10)
            status = jmeter.wait(10)
            wall_seconds = time.monotonic() - jmeter.started
        lab_counters = lab.stop()

    if status != 0 or not results.exists() or not counters_file.exists():
        said = [line for line in (output / "jmeter.out").read_text(encoding="utf-8").splitlines() if "rror" in line]
        evidence = said or failures(read_results(results) if results.exists() else [])
        where = f"no counters from JMeter, which ended with status {status}; see {output}/jmeter.out and jmeter.log"
        raise RunError("\n  ".join([where, *evidence[:5]]))
    counters = json.loads(counters_file.read_text(encoding="utf-8"))
    rows = read_results(results)
    result = summary(chosen.softphones, rows, counters, wall_seconds)
    write_json(output / "summary.json", result)
    print(f"\n{table(result, counters, lab_counters)}\n")
    print(f"  HTML report    {report}/index.html\n  summary        {output}/summary.json\n")

    found = problems(chosen.softphones, rows, counters, lab_counters)
    for problem in found:
        print(f"  FAILED  {problem}")
    if not found:
        print("  every softphone connected, every packet is accounted for, nothing was left open")
    return 1 if found else 0


def follow(jmeter: JMeter, log: Path, seconds: float) -> None:
    """Writes all that JMeter prints to `log`, and shows the plugin's live line until JMeter is through."""
    with log.open("w", encoding="utf-8") as file:
        for line in jmeter.lines(seconds):
            file.write(line + "\n")
            if line.startswith("WebRTC "):
                print(line, flush=True)


def main(arguments: list[str]) -> int:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    try:
        return run(options(arguments))
    except RunError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; JMeter and the lab were ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
