"""Real runs: a lab, a JMeter with our jars, and what came out of it. `make test-jmeter` builds both and names them."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import time
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from demo.processes import JMeter, Lab, RunError
from demo.summary import Row, read_results
from tests.jmeter.plans import Node, write_plan
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
JMETER_HOME = Path(os.environ.get("WEBRTC_JMETER_HOME", ROOT / "target/jmeter"))
LAB = Path(os.environ.get("WEBRTC_LAB", ROOT / "target/release/webrtc-lab"))
OUTPUT = ROOT / "target/test-jmeter"

#: What the JVM says about misused JNI when started with -Xcheck:jni.
JNI_COMPLAINTS = ("FATAL ERROR in native method", "WARNING in native method", "WARNING: JNI ")


@dataclass
class Finished:
    """A run that has ended."""

    rows: list[Row]
    output: list[str]
    log: str
    status: int
    #: From JMeter's "Tidying up" (all threads done) to the end of the process, in seconds.
    exit_seconds: float
    #: From the action given to `run` to "Tidying up", in seconds.
    stop_seconds: float | None
    #: The engine's counters when all threads had ended.
    counters: dict[str, Any]

    def labelled(self, label: str) -> list[Row]:
        """The samples of one label."""
        return [row for row in self.rows if row["label"] == label]

    def failed(self) -> list[str]:
        """All failed samples, for messages of assertions."""
        return [
            f"{row['label']}: {row['responseCode']} {row['responseMessage']}" for row in self.rows if row["success"] != "true"
        ]

    def jni_complaints(self) -> list[str]:
        """Lines of a JVM that checks the use of JNI."""
        return [line for line in self.output if line.startswith(JNI_COMPLAINTS)]


class RealJMeter(unittest.TestCase):
    """A test that runs plans; each has its own folder under `target/test-jmeter`, kept for looking at."""

    def setUp(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.folder = OUTPUT / self.id().split(".", 2)[-1]
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def lab(self, **config: Any) -> Lab:
        """A lab with this configuration, ended after the test."""
        lab = Lab(LAB, self.folder / "lab.json", self.folder / "lab.log", config)
        self.addCleanup(lab.__exit__, None, None, None)
        return lab

    def run_plan(self, *children: Node, **how: Any) -> Finished:
        """Runs a plan with these elements to its end; `how` as of `run_file`."""
        return self.run_file(write_plan(self.folder / "plan.jmx", *children), **how)

    def run_file(
        self,
        plan: Path,
        seconds: float = 150,
        jvm: list[str] | None = None,
        when: Callable[[list[Row]], bool] | None = None,
        then: str | None = None,
        report: Path | None = None,
        **properties: Any,
    ) -> Finished:
        """Runs the plan of a file to its end, at most `seconds`.

        `report` is the folder for the HTML report, if wanted. As soon as the results so far satisfy `when`, the command `then` (`StopTestNow` or `Shutdown`) is sent to JMeter.
        """
        results, counters = self.folder / "results.jtl", self.folder / "generator.json"
        command_port = free_port()
        given = {
            "webrtc.summary_file": counters,
            "jmeter.save.saveservice.autoflush": "true",
            "jmeterengine.nongui.port": command_port,
            "jmeterengine.nongui.maxport": command_port,
            **{name.replace("__", "."): value for name, value in properties.items()},
        }
        output: list[str] = []
        sent_at = ended_at = None
        with JMeter(JMETER_HOME, plan, results, given, report, jvm=jvm) as jmeter:
            if when and then:
                wait_until(lambda: when(rows_so_far(results)), seconds, "the results that were waited for")
                # The threads of these rows are only now on their way into what the command is to end.
                time.sleep(2)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sent_at = time.monotonic()
                    sender.sendto(then.encode(), ("127.0.0.1", command_port))
            for line in jmeter.lines(seconds):
                output.append(line)
                if line.startswith("Tidying up"):
                    ended_at = time.monotonic()
            status = jmeter.wait(10)
            over_at = time.monotonic()
        (self.folder / "jmeter.out").write_text("\n".join(output) + "\n", encoding="utf-8")
        log = (self.folder / "jmeter.log").read_text(encoding="utf-8", errors="replace")
        self.assertIsNotNone(ended_at, f"JMeter never came to the end of the test: {output}")
        rows = read_results(results) if results.exists() else []
        self.assert_words(rows)
        return Finished(
            rows=rows,
            output=output,
            log=log,
            status=status,
            exit_seconds=over_at - ended_at,
            stop_seconds=ended_at - sent_at if sent_at else None,
            counters=json.loads(counters.read_text(encoding="utf-8")),
        )

    def assert_words(self, rows: list[Row]) -> None:
        """Codes that look like those of the one list are in it, and so is every cause."""
        listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/causes.md").read_text(encoding="utf-8"), re.MULTILINE))
        found = {row["responseCode"] for row in rows if re.fullmatch("[A-Z]+(_[A-Z]+)*", row["responseCode"])}
        # JMeter's own word in threads without elements of ours.
        found |= {row["webrtc_cause"] for row in rows if row.get("webrtc_cause") not in (None, "", "null")}
        self.assertEqual(found - listed, set())

    def assert_ended_cleanly(self, run: Finished) -> None:
        """JMeter ended by itself and in time, and no native code was misused."""
        self.assertEqual(run.status, 0, run.output)
        self.assertLess(run.exit_seconds, 5, "JMeter has to exit within 5 s of the end of the test")
        self.assertEqual(run.jni_complaints(), [])


def rows_so_far(results: Path) -> list[Row]:
    """The rows of a JTL that is still being written."""
    return read_results(results) if results.exists() else []


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until the condition holds; raises `RunError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RunError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.1)
