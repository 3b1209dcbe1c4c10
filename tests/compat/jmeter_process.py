"""One non-GUI run of a JMETER_HOME in a process of its own, with a deadline."""
from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.compat.homes import Home

SAVE_EVERYTHING = {
    "jmeter.save.saveservice.output_format": "xml",
    "jmeter.save.saveservice.response_data": "true",
    "jmeter.save.saveservice.samplerData": "true",
    "jmeter.save.saveservice.requestHeaders": "true",
    "jmeter.save.saveservice.responseHeaders": "true",
    "jmeter.save.saveservice.url": "true",
    "jmeter.save.saveservice.subresults": "true",
    "jmeter.save.saveservice.assertion_results": "all",
    "jmeter.save.saveservice.connect_time": "true",
    "jmeter.save.saveservice.latency": "true",
}
"""Result columns that the comparison reads."""


class JMeterFailed(RuntimeError):
    """JMeter did not end by itself with exit code 0; the text carries the end of its output and log."""


@dataclass(frozen=True)
class Run:
    """What one run left behind."""

    results: Path
    log: Path
    output: str
    seconds: float


def run(home: Home, plan: Path, directory: Path, properties: dict[str, str] | None = None,
        arguments: list[str] | None = None, java: list[str] | None = None, deadline: float = 180) -> Run:
    """Runs `plan` and returns its results; `properties` are `-J`, `java` are options of the JVM."""
    directory.mkdir(parents=True, exist_ok=True)
    results, log = directory / "results.jtl", directory / "jmeter.log"
    for old in (results, log):
        old.unlink(missing_ok=True)
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
               "--add-opens=java.base/java.lang=ALL-UNNAMED",  # as bin/jmeter does
               *(java or []), "-jar", str(home.launcher), "-n", "-t", str(plan), "-l", str(results), "-j", str(log)]
    command += [f"-J{key}={value}" for key, value in (SAVE_EVERYTHING | (properties or {})).items()]
    command += arguments or []
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=deadline, check=False)
    except subprocess.TimeoutExpired as late:
        raise JMeterFailed(f"{home.name}: still running after {deadline} s\n{_end_of(late.stdout, log)}") from late
    if done.returncode != 0 or not results.is_file():
        raise JMeterFailed(f"{home.name}: exit code {done.returncode}\n{_end_of(done.stdout, log)}")
    return Run(results, log, done.stdout, time.monotonic() - began)


def _end_of(output: str | bytes | None, log: Path) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    logged = log.read_text(errors="replace") if log.is_file() else ""
    return "\n".join([*text.splitlines()[-15:], "--- log:", *logged.splitlines()[-25:]])
