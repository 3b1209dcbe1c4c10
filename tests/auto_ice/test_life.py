"""How calls of Auto ICE live with threads, functions, stops and workers."""
from __future__ import annotations

import shutil
import socket
import time
import unittest
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from demo.processes import JMeter
from tests.auto_ice import canned, plans, runs
from tests.auto_ice.runs import CONNECT, LOST, TARGET, Ran
from tests.auto_ice.server import SignalingServer
from tests.compat import homes, jmeter_process, jmx, results, workers
from tests.compat.jmx import Element
from tests.ports import free_port

HELD = 5
STOP_SECONDS = 6.0
"""JMeter gives threads 5 s after StopTestNow."""
CALLS = "io.github.jmeterwebrtc.jmeter.call."
AUTO_ICE = "io.github.jmeterwebrtc.jmeter.autoice."


class StoppingTest(unittest.TestCase):
    """JMeter is told to stop in the middle of calls."""

    def test_stop_in_the_middle_of_calls_ends_them_and_jmeter(self) -> None:
        self._stopped_by("StopTestNow")

    def test_shutdown_in_the_middle_of_calls_ends_them_and_jmeter(self) -> None:
        self._stopped_by("Shutdown")

    def _stopped_by(self, command: str) -> None:
        directory = TARGET / f"held-{command}"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        result_file = directory / "results.jtl"
        port = free_port()
        with SignalingServer(strict=True) as server:
            plan = plans.write_cases(directory / "plan.jmx", [plans.held(server.port, HELD)])
            properties = jmeter_process.SAVE_EVERYTHING | {
                "jmeter.save.saveservice.output_format": "csv", "jmeter.save.saveservice.autoflush": "true",
                "jmeterengine.nongui.port": str(port), "jmeterengine.nongui.maxport": str(port)}
            with JMeter(homes.OURS, plan, result_file, properties) as jmeter:
                deadline = time.monotonic() + 60
                while _count(result_file, ",status,") < HELD:
                    self.assertLess(time.monotonic(), deadline, "calls that talk")
                    time.sleep(0.1)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(command.encode(), ("127.0.0.1", port))
                told = time.monotonic()
                ended = None
                for line in jmeter.lines(60):
                    if line.startswith("Tidying up"):
                        ended = time.monotonic()
                self.assertEqual(jmeter.wait(10), 0)
            self.assertIsNotNone(ended)
            self.assertLess((ended or 0) - told, STOP_SECONDS)
            calls = server.finish()
        self.assertEqual(sum(call.talks for call in calls), HELD)
        # Each call came up and was told, before the stop or by it; none counts as lost.
        self.assertEqual((_count(result_file, CONNECT), _count(result_file, LOST)), (HELD, 0))


def _count(file: Path, text: str) -> int:
    return file.read_text(encoding="utf8", errors="replace").count(text) if file.is_file() else 0


def _script(name: str, parameters: str, text: str) -> Element:
    return Element("JSR223Sampler", "TestBeanGUI", name, {
        "scriptLanguage": "groovy", "parameters": parameters, "filename": "", "cacheKey": "true", "script": text})


class FunctionsTest(unittest.TestCase):
    """A script makes its messages by itself."""

    def test_a_script_makes_a_call_with_functions_and_elements_wait_for_it_and_hang_it_up(self) -> None:
        post = """def c = new URL('http://127.0.0.1:PORT/http?shape=json&sc=script').openConnection()
c.doOutput = true
c.outputStream << '{"type":"offer","sessionId":"js-1","sdp":"' + vars.get('offer') + '"}'
SampleResult.setResponseData(c.inputStream.text, 'UTF-8')"""
        apply = Element(AUTO_ICE + "ApplyRemoteSdp", AUTO_ICE + "ApplyRemoteSdpGui", "apply",
                        {"callName": "mine", "type": "answer", "text": "${theirs}"})

        def make(port: int, files: Path) -> list[plans.Case]:
            return [plans.Case("script", [jmx.thread_group(
                "script",
                _script("offer", "${__webrtcOffer(mine,json,offer)}", post.replace("PORT", str(port))).holding(
                    jmx.json_extractor("theirs", "$.sdp"), apply),
                Element(CALLS + "AwaitConnectedSampler", CALLS + "AwaitConnectedSamplerGui", "await",
                        {"callName": "mine", "state": "media", "timeout": "20000"}),
                plans.http("talking", port, "/talking/script", "GET"),
                _script("look", "${__webrtcState(mine,state)}${__webrtcStat(mine,packetsReceived,received)}",
                        "SampleResult.setResponseData(vars.get('state') + ' ' + (vars.get('received') as int > 0), 'UTF-8')"),
                Element(CALLS + "HangUpSampler", CALLS + "HangUpSamplerGui", "hang up", {"callName": "mine"}),
                _script("after", "${__webrtcState(mine,state)}", "SampleResult.setResponseData(vars.get('state'), 'UTF-8')"),
                loops=2)], 2)]
        ran, _ = runs.run("script", make, "on")
        self.assertEqual([(s["label"], s["message"], s["assertions"]) for s in ran.samples if not s["success"]], [])
        self.assertEqual([s["data"] for s in ran.samples if s["label"] == "look"], ["connected true"] * 2)
        self.assertEqual([s["data"] for s in ran.samples if s["label"] == "after"], ["closed"] * 2)
        self.assertEqual([(call.stale, call.talks) for call in ran.calls], [(False, True)] * 2)
        self.assertEqual(len(ran.told(CONNECT)), 2)

    def test_a_description_of_a_function_in_a_message_of_a_socket_is_live_already_and_stays(self) -> None:
        apply = Element(AUTO_ICE + "ApplyRemoteSdp", AUTO_ICE + "ApplyRemoteSdpGui", "apply", {"callName": "mine", "text": "${theirs}"})
        message = '{"type":"offer","sessionId":"fn-1","sdp":"${__webrtcOffer(mine,json)}"}'

        def make(port: int, files: Path) -> list[plans.Case]:
            return [plans.Case("function", [jmx.thread_group(
                "function", plans.open_socket(port, "json", "function"),
                jmx.request_response("offer", createNewConnection=False, readTimeout=plans.READ_MS, payloadType="Text",
                                     requestData=message).holding(jmx.json_extractor("theirs", "$.sdp"), apply),
                plans.ask("json", "status", "fn-1"),
                Element(CALLS + "HangUpSampler", CALLS + "HangUpSamplerGui", "hang up", {"callName": "mine"}),
                plans.close())], 1)]
        ran, _ = runs.run("function", make, "on")
        self.assertEqual([(s["label"], s["message"], s["assertions"]) for s in ran.samples if not s["success"]], [])
        self.assertEqual([(call.stale, call.talks) for call in ran.calls], [(False, True)])
        self.assertEqual(len(ran.told(CONNECT)), 1)
        self.assertNotIn("left as it was", ran.output)

    def test_what_no_element_reaches_goes_out_as_it_is_and_is_counted_by_name(self) -> None:
        body = plans.message("json", "offer", "out-1")

        def make(port: int, files: Path) -> list[plans.Case]:
            silent = f"SampleResult.setResponseData('''{canned.sdp('offer')}''', 'UTF-8')"
            return [plans.Case("unreached", [jmx.thread_group(
                "unreached", plans.open_socket(port, "json", "unreached"), plans.http("http", port, "/http?shape=json&sc=unreached", body=body),
                _script("script", "", silent), plans.close(), loops=3)], 0)]
        ran, _ = runs.run("unreached", make, "on")
        self.assertTrue(all(call.stale for call in ran.calls))
        self.assertEqual(ran.told(CONNECT), [])
        self.assertIn("does not reach 1 sampler with session descriptions: 'http' (JSON)", ran.output)
        self.assertIn("does not change scripts: 'script'", ran.output)
        self.assertRegex(ran.output, r"6 samples carried no live session: ('http' \(3\), 'script' \(3\)|'script' \(3\), 'http' \(3\))")


class OtherSamplersTest(unittest.TestCase):
    """Samplers that nobody has thought of."""

    def test_the_texts_of_any_sampler_are_live_for_one_sample_and_canned_again_in_the_next(self) -> None:
        values = {"Sleep_Time": "1", "Sleep_Mask": "0x0", "ResponseCode": "200", "Status": "OK", "ResultData": canned.sdp("offer")}
        items = [jmx.element_prop(key, "Argument", Argument__name=key, Argument__value=value, Argument__metadata="=")
                 for key, value in values.items()]
        java = Element("JavaSampler", "JavaTestSamplerGui", "any", {
            "classname": "org.apache.jmeter.protocol.java.test.JavaTest",
            "arguments": jmx.element_prop("arguments", "Arguments", items=jmx.collection("Arguments.arguments", *items))})

        def make(port: int, files: Path) -> list[plans.Case]:
            return [plans.Case("any", [jmx.thread_group("any", plans.auto_ice(), java, loops=3)], 0)]
        ran, _ = runs.run("any", make, "on")
        texts = [str(s["data"]) for s in ran.samples if s["label"] == "any"]
        ufrags = {text.split("a=ice-ufrag:")[1].split()[0] for text in texts}
        self.assertEqual((len(texts), len(ufrags)), (3, 3))
        self.assertNotIn(canned.UFRAG, ufrags)
        # Nobody answers: each call is told as one that the plan ended.
        self.assertEqual([(s["success"], s["code"]) for s in ran.told(CONNECT)], [(False, "CANCELLED")] * 3)


class WorkersTest(unittest.TestCase):
    """Two workers run what one JMeter runs."""

    def test_two_workers_give_the_verdicts_of_a_local_run(self) -> None:
        local, _ = runs.run("local", plans.all_shapes, "on")
        want = _account(local.samples)
        self.assertGreater(len(want), 5)
        directory = TARGET / "workers"
        properties = workers.keystore(directory)
        with ExitStack() as stack:
            two = [stack.enter_context(workers.worker(homes.ours(), directory / str(number), properties)) for number in (1, 2)]
            server = stack.enter_context(SignalingServer(strict=True))
            plan = plans.write_cases(directory / "plan.jmx", plans.all_shapes(server.port, directory))
            arguments = ["-R", ",".join(worker.address for worker in two), "-Gwebrtc.auto_ice=on"]
            ran = jmeter_process.run(homes.ours(), plan, directory, properties, arguments, workers.LOOPBACK)
            samples = results.read(ran.results)
            for worker in two:
                with self.subTest(worker=worker.address):
                    account = _account([s for s in samples if str(s["thread"]).startswith(worker.address + "-")])
                    self.assertEqual((account - want, want - account), (Counter(), Counter()))
                    self.assertIn("WebRTC Auto ICE is on", worker.logged())
            calls = server.finish()
        self.assertEqual([call.scenario for call in calls if not call.talks], [])
        self.assertEqual(len(calls), 2 * len(local.calls))


def _account(samples: list[results.Sample]) -> Counter[tuple[object, ...]]:
    return Counter((s["label"], s["success"], s["code"], s["message"]) for s in samples)


if __name__ == "__main__":
    unittest.main()
