"""Fixed mode differs from strict mode exactly where the guide says so, and each switch takes back its own difference alone."""
from __future__ import annotations

import re
import unittest

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.jmx import Element
from tests.compat.results import Sample
from tests.compat.scripted_server import ScriptedServer

GUIDE = homes.ROOT / "docs" / "run-the-plan-you-have.md"
Outcome = dict[str, tuple[list[Sample], list[str]]]


class ClosedListTest(unittest.TestCase):
    """One thread group for each difference, run in strict mode, in fixed mode, and with each switch off."""

    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        # One for all runs, since its port stands in requests and results.
        cls.server = cls.enterClassContext(ScriptedServer())
        cls.strict = _run(cls.server, "strict", {"webrtc.websocket.compat": "strict"})
        cls.fixed = _run(cls.server, "fixed", {})

    def test_the_guide_lists_what_the_plan_of_this_test_has(self) -> None:
        listed = re.findall(r"`webrtc\.websocket\.fix\.(\w+)`", GUIDE.read_text(encoding="utf8"))
        self.assertEqual(sorted(listed), sorted(GROUPS))

    def test_each_difference_is_one(self) -> None:
        for switch in GROUPS:
            with self.subTest(switch):
                self.assertNotEqual(self.fixed[switch], self.strict[switch])

    def test_each_switch_takes_back_its_own_difference_and_no_other(self) -> None:
        for switch in GROUPS:
            without = _run(self.server, f"without-{switch}", {f"webrtc.websocket.fix.{switch}": "false"})
            for group in GROUPS:
                with self.subTest(switched_off=switch, group=group):
                    self.assertEqual(without[group], (self.strict if group == switch else self.fixed)[group])

    def test_two_switches_that_end_all_reading_in_the_background_take_back_their_own_differences_and_no_other(self) -> None:
        off = ("pong", "end")
        without = _run(self.server, "without-reading", {f"webrtc.websocket.fix.{switch}": "false" for switch in off})
        for group in GROUPS:
            with self.subTest(group=group):
                self.assertEqual(without[group], (self.strict if group in off else self.fixed)[group])

    def test_rows_change_only_in_what_the_list_is_about(self) -> None:
        changed = {switch: _changed(self.strict[switch][0], self.fixed[switch][0]) for switch in GROUPS}
        self.assertEqual(changed, {
            "pong": {"read/success", "read/code", "read/message"},
            "end": {"write/success", "write/code", "write/message", "write/sentBytes"},
            "connection_header": {"open/success", "open/code", "open/message", "open/bytes", "open/sentBytes", "open/responseHeaders"},
            "latency": {"ask/hasLatency"},
            "dns_cache": {"open/success", "open/code", "open/message", "open/bytes", "open/sentBytes", "open/responseHeaders"},
            "close_echo": set(),
            "set_cookie": {"again/requestHeaders", "again/sentBytes"},
            "parallel": {"child/success", "child/code", "child/message", "child/bytes", "child/sentBytes", "child/data",
                         "child/dataType", "child/samplerData"},
            "late_mark": {"the next/responseHeaders"},
        })

    def test_a_late_reply_goes_to_the_next_reader_and_says_so(self) -> None:
        asked, after, last = (sample for sample in self.fixed["late_mark"][0][1:])
        self.assertEqual((asked["success"], asked["message"]), (False, "WebSocket I/O error: Read timed out"))
        self.assertEqual((after["success"], after["data"], after["message"]), (True, "late", "OK"))
        self.assertEqual(after["responseHeaders"], "webrtc-late-reply: the first frame since 'asks' timed out after 400 ms")
        self.assertEqual((last["data"], last["responseHeaders"]), ("x", ""))
        log = (homes.TARGET / "closed-list" / "fixed" / "jmeter.log").read_text(encoding="utf8")
        self.assertEqual(log.count("webrtc-late-reply"), 1)


def _pong(where: dict[str, jmx.Value]) -> list[Element]:
    return [jmx.open_connection("open", **where, path="/s/p%3Ahi?sc=pong"),
            jmx.single_read("read", **where, createNewConnection=False, dataType="Text", optional=True, readTimeout="400")]


def _end(where: dict[str, jmx.Value]) -> list[Element]:
    return [jmx.open_connection("open", **where, path="/s/fin?sc=end"),
            jmx.single_write("write", **where, createNewConnection=False, requestData="x").holding(jmx.constant_timer(400))]


def _connection_header(where: dict[str, jmx.Value]) -> list[Element]:
    return [jmx.open_connection("open", **where, path="/h/keepalive?sc=connection_header")]


def _latency(where: dict[str, jmx.Value]) -> list[Element]:
    return [jmx.open_connection("open", **where, path="/e?sc=latency"),
            jmx.request_response("ask", **where, createNewConnection=False, requestData="!s:100 t:reply", readTimeout="4000")]


def _dns_cache(where: dict[str, jmx.Value]) -> list[Element]:
    host = jmx.element_prop("ws.invalid", "StaticHost", StaticHost__Name="ws.invalid", StaticHost__Address="127.0.0.1")
    manager = Element("DNSCacheManager", "DNSCachePanel", "dns", {
        "servers": jmx.collection("DNSCacheManager.servers"), "hosts": jmx.collection("DNSCacheManager.hosts", host),
        "DNSCacheManager.clearEachIteration": False, "DNSCacheManager.isCustomResolver": True})
    return [manager, jmx.open_connection("open", **where | {"server": "ws.invalid"}, path="/e?sc=dns_cache")]


def _close_echo(where: dict[str, jmx.Value]) -> list[Element]:
    return [jmx.open_connection("open", **where, path="/s/c%3A1000%3Abye?sc=close_echo"),
            jmx.single_read("read", **where, createNewConnection=False, dataType="Text", readTimeout="1000")]


def _set_cookie(where: dict[str, jmx.Value]) -> list[Element]:
    return [jmx.cookie_manager([]), jmx.open_connection("open", **where, path="/h/cookies?sc=set_cookie"),
            jmx.open_connection("again", **where, path="/e?sc=set_cookie")]


def _parallel(where: dict[str, jmx.Value]) -> list[Element]:
    parallel = Element("com.blazemeter.jmeter.controller.ParallelSampler",
                       "com.blazemeter.jmeter.controller.ParallelControllerGui", "at once",
                       {"MAX_THREAD_NUMBER": 6, "PARENT_SAMPLE": False, "LIMIT_MAX_THREAD_NUMBER": False})
    return [jmx.open_connection("open", **where, path="/e?sc=parallel"), parallel.holding(
        jmx.request_response("child", **where, createNewConnection=False, requestData="x", readTimeout="4000"))]


def _late_mark(where: dict[str, jmx.Value]) -> list[Element]:
    used = where | {"createNewConnection": False}
    return [jmx.open_connection("open", **where, path="/e?sc=late_mark"),
            jmx.request_response("asks", **used, requestData="!hold t:late", readTimeout="400"),
            jmx.request_response("the next", **used, requestData="x", readTimeout="4000"),
            jmx.single_read("last", **used, dataType="Text", readTimeout="4000")]


GROUPS = {"pong": _pong, "end": _end, "connection_header": _connection_header, "latency": _latency, "dns_cache": _dns_cache,
          "close_echo": _close_echo, "set_cookie": _set_cookie, "parallel": _parallel, "late_mark": _late_mark}


def _run(server: ScriptedServer, name: str, properties: dict[str, str]) -> Outcome:
    """Samples and wire events of each group; latency counts only where it is the subject."""
    directory = homes.TARGET / "closed-list" / name
    where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port)}
    groups = [jmx.thread_group(group, *steps(where)) for group, steps in GROUPS.items()]
    run = jmeter_process.run(homes.ours_with_parallel_controller(),
                             jmx.write(directory / "plan.jmx", jmx.test_plan(*groups)), directory, properties)
    wire = server.recorder.take()
    samples: dict[str, list[Sample]] = {group: [] for group in GROUPS}
    for sample in results.read(run.results):
        group = str(sample.pop("thread")).split(" ")[0].split("-")[0]
        if sample["label"] != "ask":
            del sample["hasLatency"]
        samples[group].append(sample)
    return {group: (samples[group], wire.get(group, [])) for group in GROUPS}


def _changed(strict: list[Sample], fixed: list[Sample]) -> set[str]:
    assert [s["label"] for s in strict] == [s["label"] for s in fixed], "a row more or less"
    return {f"{a['label']}/{field}" for a, b in zip(strict, fixed, strict=True) for field in a if a[field] != b[field]}


if __name__ == "__main__":
    unittest.main()
