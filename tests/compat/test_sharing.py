"""Connections that more than one thread uses."""
from __future__ import annotations

import unittest
from collections import Counter

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.jmx import Element
from tests.compat.scripted_server import ScriptedServer

OURS = "io.github.jmeterwebrtc.jmeter.websocket."


class SharingTest(unittest.TestCase):
    """Children of a controller, threads of a test, old and new elements together."""

    def test_children_of_a_parallel_controller_find_the_socket_of_the_thread(self) -> None:
        parallel = Element("com.blazemeter.jmeter.controller.ParallelSampler",
                           "com.blazemeter.jmeter.controller.ParallelControllerGui", "at once",
                           {"MAX_THREAD_NUMBER": 6, "PARENT_SAMPLE": False, "LIMIT_MAX_THREAD_NUMBER": False})
        with ScriptedServer() as server:
            where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port)}
            used = where | {"createNewConnection": False, "readTimeout": "3000"}
            group = jmx.thread_group(
                "parents", jmx.open_connection("open", **where, path="/e"),
                parallel.holding(jmx.single_read("read", **used, dataType="Text"),
                                 jmx.single_write("write", **used, payloadType="Text", requestData="echo")
                                 .holding(jmx.constant_timer(300))),
                jmx.request_response("after", **used, payloadType="Text", requestData="after"), threads=3, loops=2)
            samples = _samples(homes.ours_with_parallel_controller(), "parallel", [group])
            self.assertEqual(server.connections, 6, "one connection for each iteration of a thread")
        self.assertEqual([(s["label"], s["message"]) for s in samples if not s["success"]], [])
        self.assertEqual(Counter(s["label"] for s in samples if s["label"] != "at once"),
                         {"open": 6, "read": 6, "write": 6, "after": 6})

    def test_the_variables_of_a_plan_hold_nothing_of_ours(self) -> None:
        listing = ("SampleResult.setResponseData(vars.entrySet().collect { it.key + '=' + it.value.class.simpleName }.join(' '),"
                   " 'UTF-8')")
        with ScriptedServer() as server:
            where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port)}
            samples = _samples(homes.ours(), "variables", [jmx.thread_group(
                "one", jmx.script("Sampler", listing, "before"), jmx.open_connection("open", **where, path="/e"),
                jmx.request_response("ask", **where, createNewConnection=False, payloadType="Text", requestData="x"),
                jmx.script("Sampler", listing, "after"))])
        self.assertEqual([s["label"] for s in samples if not s["success"]], [])
        before, after = (set(str(samples[i]["data"]).split()) for i in (0, -1))
        self.assertEqual(after - before, {"websocket.last_frame_final=String"})

    def test_a_socket_that_a_set_up_group_opens_for_the_test_is_found_by_all_threads(self) -> None:
        with ScriptedServer() as server:
            opening = Element(OURS + "OpenConnectionSampler", OURS + "OpenConnectionSamplerGui", "open for all",
                              {"server": "127.0.0.1", "port": str(server.port), "path": "/e", "scope": "test",
                               "connectionId": "shared"})
            writing = Element(OURS + "SingleWriteSampler", OURS + "SingleWriteSamplerGui", "write",
                              {"createNewConnection": False, "connectionId": "shared", "requestData": "x"})
            failed = _failed(homes.ours(), "set-up", [
                jmx.thread_group("before", opening, kind="SetupThreadGroup"), jmx.thread_group("all", writing, threads=5, loops=3)])
            self.assertEqual(server.connections, 1)
        self.assertEqual(failed, [])

    def test_a_new_element_waits_for_a_message_on_a_connection_of_an_old_one(self) -> None:
        with ScriptedServer() as server:
            where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port)}
            waiting = Element(OURS + "WaitForMessageSampler", OURS + "WaitForMessageSamplerGui", "wait",
                              {"matchType": "jsonPath", "matchValue": "$.type", "expectedValue": "wanted", "readTimeout": "3000"})
            failed = _failed(homes.ours(), "wait", [jmx.thread_group(
                "mixed", jmx.open_connection("open", **where, path="/s/t%3Anoise%20t%3A%7B%22type%22%3A%22wanted%22%7D"),
                waiting.holding(jmx.response_assertion('"wanted"')),
                jmx.single_read("the other stays", **where, createNewConnection=False, readTimeout="3000").holding(
                    jmx.response_assertion("noise")))])
        self.assertEqual(failed, [])


def _failed(home: Home, name: str, groups: list[Element]) -> list[tuple[object, object]]:
    return [(sample["label"], sample["message"]) for sample in _samples(home, name, groups) if not sample["success"]]


def _samples(home: Home, name: str, groups: list[Element]) -> list[results.Sample]:
    directory = homes.TARGET / "sharing" / name
    plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*groups))
    run = jmeter_process.run(home, plan, directory)
    samples = results.read(run.results)
    assert samples, "no samples at all"
    return samples


if __name__ == "__main__":
    unittest.main()
