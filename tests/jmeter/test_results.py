"""The results contract: the same counts and the same words wherever JMeter users look."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from demo.processes import JMeter
from demo.summary import read_results
from tests.jmeter.busy_server import BusyServer
from tests.jmeter.influx_sink import InfluxSink
from tests.jmeter.listeners import (
    Counts,
    backend_listener,
    csv_counts,
    dashboard_counts,
    data_writer,
    debug_sampler,
    error_messages,
    generate_report,
    graph_series,
    summariser_counts,
    xml_counts,
    xml_samples,
)
from tests.jmeter.plans import Node, call, call_sampler, hang_up, open_socket, think, thread_group, write_plan
from tests.jmeter.remote import RemoteJMeter
from tests.jmeter.runs import JMETER_HOME, RealJMeter


def softphones(port: int, of: str = "") -> list[Node]:
    """Calls that work, that nobody takes, that get lost while the thread does something else, and at its end.

    `of` makes names of callees differ between JMeters that run this at the same time.
    """

    def answering(name: str, seconds: float) -> Node:
        """A thread that takes a call and hangs up after a while."""
        answer = call_sampler("Call", f"answer {name}", mode="answer", registerAs=name + of, incomingTimeout="40000")
        return thread_group(f"{name} answers", open_socket(port), answer, think(int(seconds * 1000)), hang_up())

    def calling(name: str, *then: Node) -> Node:
        """A thread that calls it a moment later, and does not notice when the call is over."""
        return thread_group(f"{name} calls", think(3000), open_socket(port), call(f"call {name}", to=name + of), *then)

    return [
        thread_group("good", open_socket(port), call(), think(300), hang_up(), threads=3),
        thread_group("unknown", open_socket(port), call("call nobody", to="nobody"), threads=4),
        answering("busy", 0.5),
        calling("busy", think(5000), debug_sampler(), think(100)),
        answering("late", 0.5),
        calling("late", think(5000)),
    ]


#: What the plan above makes: 3 × 3 + 4 × 2 + 2 × 3 + (open, call, lost, debug) + (open, call, lost).
EXPECTED = Counts(samples=9 + 8 + 6 + 4 + 3, errors=4 + 2)


class Results(RealJMeter):
    def test_are_counted_alike_by_summariser_files_dashboard_and_backend_listener(self) -> None:
        lab = self.lab()
        xml, report = self.folder / "results.xml", self.folder / "report"
        with InfluxSink() as influx:
            run = self.run_plan(
                *softphones(lab.port), data_writer(xml, xml=True), backend_listener(influx.url), report=report
            )
            # What JMeter sent last may still be on its way through the sink.
            influx.settle(lambda: Counts(*influx.counts()) == EXPECTED)
            self.assertEqual(Counts(*influx.counts()), EXPECTED, influx.lines)
        self.assertEqual(csv_counts(run.rows), EXPECTED, run.failed())
        self.assertEqual(xml_counts(xml), EXPECTED)
        self.assertEqual(summariser_counts(run.output), EXPECTED)
        self.assertEqual(dashboard_counts(report), EXPECTED)
        self.assertEqual(run.status, 0)

        with self.subTest("the evidence can be read in each"):
            for row in (row for row in run.rows if row["success"] == "false"):
                self.assertTrue(row["webrtc_evidence"] and row["webrtc_cause"], row)
            for sample in (sample for sample in xml_samples(xml) if sample.get("s") == "false"):
                # JMeter writes an underscore of a variable's name twice in XML.
                self.assertTrue(sample.get("webrtc__evidence") and sample.get("webrtc__cause"), sample.attrib)
                self.assertIn("evidence: ", sample.findtext("responseHeader") or "")
            for row in (row for row in run.rows if row["success"] == "true"):
                self.assertEqual((row["webrtc_evidence"], row["webrtc_cause"], row["webrtc_confidence"]), ("", "", ""), row)

        with self.subTest("the dashboard has graphs of ours, and a line for each way to fail"):
            self.assertTrue({"ice", "dtls", "firstRtp"} <= set(graph_series(report, "SetUp")))
            self.assertEqual(len(graph_series(report, "Failures")), 2)
            messages = error_messages(report)
            self.assertEqual(len(messages), 2, messages)
            self.assertTrue(any(message.startswith("SIGNALING_REFUSED/Call Refused") for message in messages), messages)

    def test_of_a_lost_call_come_at_the_next_sampler_or_at_the_end_of_the_thread_once(self) -> None:
        lab = self.lab()
        run = self.run_plan(*softphones(lab.port))
        lost = run.labelled("WebRTC lost")
        self.assertEqual(len(lost), 2)
        for row in lost:
            self.assertEqual((row["responseCode"], row["success"]), ("CALL_LOST", "false"))
            self.assertEqual(row["webrtc_cause"], "ENDED_BY_PEER")
            thread = [item for item in run.rows if item["threadName"] == row["threadName"]]
            placed = next(item for item in thread if item["label"].startswith("call "))
            after = int(row["timeStamp"]) - int(placed["timeStamp"]) - int(placed["elapsed"])
            self.assertLess(after, 4000, "it carries the time of the loss, not that of the next sampler")
        (debug,) = run.labelled("debug")
        self.assertEqual(debug["webrtc_cause"], "", "the next sampler's row carries nothing of it")
        self.assertNotIn("Error while notifying", run.log)

    def test_can_be_reported_the_next_day_and_merged(self) -> None:
        lab = self.lab()
        one = self.run_plan(*softphones(lab.port))
        first = (self.folder / "results.jtl").rename(self.folder / "first.jtl")
        two = self.run_plan(thread_group("good", open_socket(lab.port), call(), think(300), hang_up(), threads=2))
        second = self.folder / "results.jtl"
        merged = self.folder / "merged.jtl"
        header, rows = second.read_text(encoding="utf-8").split("\n", 1)
        self.assertTrue(first.read_text(encoding="utf-8").startswith(header + "\n"))
        merged.write_text(first.read_text(encoding="utf-8") + rows, encoding="utf-8")

        plain, said = self.folder / "plain", generate_report(first, self.folder / "plain")
        self.assertEqual(dashboard_counts(plain), csv_counts(one.rows), said)
        self.assertEqual(graph_series(plain, "SetUp"), [], "no plan was loaded")
        said = generate_report(merged, self.folder / "merged", "-q", str(self.graphs()))
        self.assertEqual(dashboard_counts(self.folder / "merged"), csv_counts(one.rows) + csv_counts(two.rows), said)
        self.assertTrue({"ice", "dtls"} <= set(graph_series(self.folder / "merged", "SetUp")), "the graphs were asked for")
        self.assertEqual(len(graph_series(self.folder / "merged", "Failures")), 2)

    def test_without_columns_of_ours_can_be_reported_with_our_graphs(self) -> None:
        lab = self.lab()
        run = self.run_plan(thread_group("good", open_socket(lab.port), call()), **{"webrtc.columns": "false"})
        self.assertEqual([name for name in run.rows[0] if name and name.startswith("webrtc_")], [], "the off-switch")
        said = generate_report(self.folder / "results.jtl", self.folder / "report", "-q", str(self.graphs()))
        self.assertEqual(dashboard_counts(self.folder / "report"), Counts(2, 0), said)
        self.assertEqual(graph_series(self.folder / "report", "SetUp"), [])

    def test_of_a_plan_without_webrtc_elements_have_no_columns_of_ours(self) -> None:
        lab = self.lab()
        run = self.run_plan(thread_group("sockets", open_socket(lab.port), debug_sampler()))
        self.assertEqual(len(run.rows), 2)
        self.assertEqual([name for name in run.rows[0] if name and name.startswith("webrtc_")], [])

    def graphs(self) -> Path:
        """The definitions of our graphs, as the jar prints them."""
        (jar,) = (JMETER_HOME / "lib/ext").glob("jmeter-webrtc-[0-9]*.jar")
        file = self.folder / "webrtc-report.properties"
        command = ["java", "-Xmx64m", "-jar", str(jar), "report-properties"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        file.write_text(done.stdout, encoding="utf-8")
        return file


class Verdicts(RealJMeter):
    def test_of_calls_that_failed_alike_are_one_message_with_cause_and_advice_and_evidence_of_each(self) -> None:
        lab = self.lab(faults={"dropCandidates": True})
        deaf = thread_group("deaf", open_socket(lab.port), call(connectTimeout="1500"), threads=5)
        xml = self.folder / "results.xml"
        run = self.run_plan(deaf, data_writer(xml, xml=True, response_data=True))
        rows = run.labelled("WebRTC connect")
        self.assertEqual(len(rows), 5)
        self.assertEqual(len({row["responseMessage"] for row in rows}), 1, "the dashboard has a line for each message")
        for row in rows:
            self.assertEqual(row["responseCode"], "ICE_FAILED")
            self.assertIn(row["webrtc_confidence"], ("certain", "likely"))
            self.assertNotEqual(row["webrtc_cause"], row["responseCode"], "why, and not only what")
            self.assertIn(f"[{row['webrtc_cause']}, {row['webrtc_confidence']}]. ", row["responseMessage"])
            self.assertTrue(row["webrtc_evidence"])
            self.assertIn(row["webrtc_starved"], ("", "true"))
        failed = [sample for sample in xml_samples(xml) if sample.get("s") == "false"]
        self.assertEqual(len(failed), 5)
        for sample in failed:
            data = json.loads(sample.findtext("responseData") or "")
            self.assertIn(data["error"], ("ICE Connection Failed", "ICE Connection Timed Out"))
            self.assertEqual((data["code"], data["cause"]), ("ICE_FAILED", sample.get("webrtc__cause")))
            self.assertTrue(data["details"] and data["advice"] and data["evidence"][0]["fact"], data)
            self.assertEqual(data["confidence"], sample.get("webrtc__confidence"))

    def test_of_a_websocket_that_was_cut_are_no_failure_of_ice(self) -> None:
        lab = self.lab(idleCutMs=500)
        xml = self.folder / "results.xml"
        cut = thread_group("cut", open_socket(lab.port), think(1500), call())
        run = self.run_plan(cut, data_writer(xml, xml=True, response_data=True))
        (row,) = run.labelled("WebRTC connect")
        self.assertEqual((row["responseCode"], row["webrtc_cause"]), ("CLOSED_BY_FIN", "CLOSED_BY_FIN"))
        (sample,) = [sample for sample in xml_samples(xml) if sample.get("s") == "false"]
        data = json.loads(sample.findtext("responseData") or "")
        self.assertEqual((data["error"], data["code"], data["confidence"]), ("Signaling WebSocket Closed", "CLOSED_BY_FIN", "certain"))
        self.assertNotIn("ICE", data["error"] + data["message"])


class AppendedResults(RealJMeter):
    def test_keep_the_columns_of_their_file_and_the_log_says_so(self) -> None:
        lab = self.lab()
        plain = thread_group("plain", debug_sampler(), loops=3)
        before = self.run_plan_without_us(plain)
        nobody = call_sampler("Call", "call nobody", to="nobody", callName="second")
        run = self.run_plan(thread_group("good", open_socket(lab.port), call(), nobody))
        self.assertEqual(len(run.rows), len(before) + 3)
        self.assertNotIn("webrtc_cause", run.rows[0])
        self.assertRegex(run.log, r"WARN .*results\.jtl was begun without the columns .*webrtc_cause")
        said = generate_report(self.folder / "results.jtl", self.folder / "report")
        self.assertEqual(dashboard_counts(self.folder / "report"), Counts(6, 1), said)

    def test_of_the_same_plan_have_all_columns(self) -> None:
        lab = self.lab()
        phones = thread_group("good", open_socket(lab.port), call())
        self.run_plan(phones)
        run = self.run_plan(phones)
        self.assertEqual(len(run.rows), 4)
        self.assertTrue(all(float(row["webrtc_iceMs"]) >= 0 for row in run.labelled("WebRTC connect")))
        self.assertNotIn("was begun", run.log)

    def run_plan_without_us(self, *children: Node) -> list[dict[str, str]]:
        """Runs a plan that has none of our elements; there are no counters of ours then."""
        plan = write_plan(self.folder / "plain.jmx", *children)
        results = self.folder / "results.jtl"
        with JMeter(JMETER_HOME, plan, results, {}) as jmeter:
            output = list(jmeter.lines(60))
            self.assertEqual(jmeter.wait(10), 0, output)
        return read_results(results)


class RemoteResults(RemoteJMeter):
    def test_of_two_workers_are_complete_and_keep_their_evidence_in_stripped_batches(self) -> None:
        lab = self.lab()
        ports = [self.start_worker({"who": name}, name) for name in ("one", "two")]
        plan = write_plan(self.folder / "plan.jmx", *softphones(lab.port, of="-${__P(who)}"))
        results, report = self.folder / "results.jtl", self.folder / "report"
        output = self.run_remotely(plan, results, *ports, mode="StrippedBatch", report=report)
        rows = read_results(results)
        expected = EXPECTED + EXPECTED
        self.assertEqual(csv_counts(rows), expected)
        self.assertEqual(dashboard_counts(report), expected)
        self.assertEqual(summariser_counts(output), expected)
        for row in (row for row in rows if row["success"] == "false"):
            lost = row["label"] == "WebRTC lost"
            self.assertIn("hung up" if lost else "nobody", row["webrtc_evidence"])
            self.assertEqual(row["webrtc_cause"], "ENDED_BY_PEER" if lost else "SIGNALING_REFUSED")
        self.assertTrue({"ice", "dtls"} <= set(graph_series(report, "SetUp")))

    def test_that_a_listener_of_the_plan_appends_on_the_controller_keep_the_columns_of_their_file(self) -> None:
        lab = self.lab()
        port = self.start_worker({})
        mine = self.folder / "mine.csv"
        # The name is made by a function, as names of results often are.
        writer = data_writer(self.folder / "${__P(none,mine)}.csv", xml=False)
        plain = write_plan(self.folder / "plain.jmx", thread_group("plain", debug_sampler()), writer)
        self.run_remotely(plain, self.folder / "plain.jtl", port)
        phones = write_plan(self.folder / "phones.jmx", thread_group("good", open_socket(lab.port), call()), writer)
        self.run_remotely(phones, self.folder / "phones.jtl", port)
        self.assertEqual(len(read_results(mine)), 3)
        said = generate_report(mine, self.folder / "report")
        self.assertEqual(dashboard_counts(self.folder / "report"), Counts(3, 0), said)

    def test_that_the_controller_appends_keep_the_columns_of_their_file(self) -> None:
        lab = self.lab()
        results = self.folder / "results.jtl"
        port = self.start_worker({})
        self.run_remotely(write_plan(self.folder / "plain.jmx", thread_group("plain", debug_sampler())), results, port)
        phones = write_plan(self.folder / "phones.jmx", thread_group("good", open_socket(lab.port), call()))
        self.run_remotely(phones, results, port)
        said = generate_report(results, self.folder / "report")
        self.assertEqual(dashboard_counts(self.folder / "report"), Counts(3, 0), said)


class Gate(RealJMeter):
    def test_spreads_starts_and_its_wait_is_in_a_column_and_not_in_the_elapsed_time(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group("gated", open_socket(lab.port), call(gateStartsPerSecond="0.5", gateInFlight="1"), threads=5)
        )
        self.assertEqual(run.failed(), [])
        calls = run.labelled("WebRTC connect")
        waits = sorted(float(row["webrtc_gateWaitMs"]) for row in calls)
        self.assertGreater(waits[-1], 1500, "the fifth of five, one in two seconds")
        self.assertTrue(all(int(row["elapsed"]) < waits[-1] for row in calls), "no wait is in the elapsed time")
        starts = sorted(int(row["timeStamp"]) for row in calls)
        self.assertGreater(starts[-1] - starts[0], 1500, "a sample starts when its gate has let it through")
        self.assertEqual([row["webrtc_gateWaitMs"] for row in run.labelled("WebSocket open")], [""] * 5)

    def test_lets_go_of_waiting_threads_at_a_stop(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group("gated", open_socket(lab.port), call(gateStartsPerSecond="0.01"), threads=10),
            when=lambda rows: len([row for row in rows if row["label"] == "WebSocket open"]) == 10,
            then="StopTestNow",
        )
        self.assertLess(run.stop_seconds or 99, 5)
        cancelled = [row for row in run.labelled("WebRTC connect") if row["responseCode"] == "CANCELLED"]
        self.assertGreaterEqual(len(cancelled), 9)
        self.assert_ended_cleanly(run)

    def test_of_a_property_holds_for_websockets_and_honours_retry_after(self) -> None:
        with BusyServer(retry_after_seconds=5) as server:
            run = self.run_plan(
                thread_group("gated", open_socket(server.port), loops=2),
                **{"webrtc.gate.retryAfter": "true", "webrtc.gate.inFlight": "1"},
            )
        opened = run.labelled("WebSocket open")
        self.assertEqual([row["responseCode"] for row in opened], ["503", "101"], "the refused one stays refused")
        self.assertGreater(int(opened[1]["timeStamp"]) - int(opened[0]["timeStamp"]), 4500)
        self.assertTrue(all(int(row["elapsed"]) < 4500 for row in opened), "no wait is in the elapsed time")

    def test_refuses_bad_settings_by_name(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group("bad", open_socket(lab.port), call("a", gateInFlight="many"), call("b", gateStartsPerSecond="-1"))
        )
        self.assertIn("gateInFlight: 'many'", run.labelled("a")[0]["responseMessage"])
        self.assertIn("gateStartsPerSecond: '-1'", run.labelled("b")[0]["responseMessage"])
        self.assertEqual(lab.stop()["callsAnswered"], 0)
