"""A JVM that runs one test after the other, as jmeter-server and the GUI do: each starts clean, and remotely too."""

from __future__ import annotations

import json
import re

from demo.summary import read_results
from tests.jmeter.listeners import debug_sampler
from tests.jmeter.plans import call, hang_up, open_socket, think, thread_group, write_plan
from tests.jmeter.remote import RemoteJMeter
from tests.jmeter.runs import ROOT, wait_until


class SecondRun(RemoteJMeter):
    def test_in_the_same_jvm_starts_clean(self) -> None:
        lab = self.lab()
        counters = self.folder / "worker.json"
        port = self.start_worker({"webrtc.summary_file": counters})
        for number, threads in enumerate((7, 4)):
            counters.unlink(missing_ok=True)
            plan = write_plan(
                self.folder / "plan.jmx",
                # The first test leaves everything open: the second must not see it.
                thread_group("remote", open_socket(lab.port), call(), think(300), *[hang_up()] * number, threads=threads),
            )
            results = self.folder / f"results-{number}.jtl"
            self.run_remotely(plan, results, port, mode="Standard")
            wait_until(counters.exists, 10, "the counters of the worker")
            seen = json.loads(counters.read_text(encoding="utf-8"))
            self.assertEqual(seen["softphones"]["connected"], threads)
            self.assertEqual(seen["webSockets"]["opened"], threads)
            self.assertEqual(seen["udpSockets"], {"opened": threads, "open": 0})
            rows = read_results(results)
            connected = [row for row in rows if row["label"] == "WebRTC connect"]
            self.assertEqual([row["success"] for row in rows], ["true"] * len(rows))
            self.assertEqual(len(connected), threads)
            self.assertTrue(all(float(row["webrtc_iceMs"]) >= 0 for row in connected), "columns travel")
        self.assertEqual(lab.stop()["callsAnswered"], 11)

    def test_in_the_same_jvm_has_no_columns_of_ours_without_our_elements(self) -> None:
        lab = self.lab()
        port = self.start_worker({"sample_variables": "mine"})
        seen = []
        # The label is made on the worker, while the test runs there.
        asked = debug_sampler("${__P(sample_variables)}")
        phones = thread_group("phones", open_socket(lab.port), call(), asked, hang_up())
        for number, group in enumerate((phones, thread_group("plain", asked), phones)):
            plan, results = write_plan(self.folder / "plan.jmx", group), self.folder / f"results-{number}.jtl"
            self.run_remotely(plan, results, port, mode="Standard")
            labels = [row["label"] for row in read_results(results)]
            seen.append(next(label for label in labels if label.startswith("mine")))
        with_columns = ",".join(["mine", *columns()])
        self.assertEqual(seen, [with_columns, "mine", with_columns])


def columns() -> list[str]:
    """All columns of ours, in order, as the documentation has them."""
    rows = re.findall(r"^\| (`webrtc_.*?) \|", (ROOT / "docs/results.md").read_text(encoding="utf-8"), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]
