"""The two jars: alone, beside the original, without the mapping, on remote workers."""
from __future__ import annotations

import unittest
import zipfile
from collections import Counter
from pathlib import Path

from tests.compat import homes, jmeter_process, jmx, remote, results, shapes
from tests.compat.homes import Home
from tests.compat.jmx import Element
from tests.compat.scripted_server import ScriptedServer

Outcome = Counter[tuple[object, ...]]
WHO = "jmeter-webrtc runs the WebSocket elements of this plan"


class InstallationTest(unittest.TestCase):
    """Who runs a plan, and that it makes no difference where."""

    def test_the_second_jar_is_the_mapping_and_a_manifest(self) -> None:
        jar, = (homes.OURS / "lib" / "ext").glob("jmeter-webrtc-dropin-*.jar")
        with zipfile.ZipFile(jar) as archive:
            files = [name for name in archive.namelist() if not name.endswith("/")]
        self.assertEqual(files, ["META-INF/MANIFEST.MF",
                                 "META-INF/resources/org.apache.jmeter.nameupdater.properties"])

    def test_one_line_in_the_log_says_who_runs_the_plan(self) -> None:
        _outcome, log = self._run(homes.ours(), "alone")
        self.assertEqual(log.count(WHO), 1)
        self.assertIn("webrtc.websocket.compat=fixed", log)

    def test_ours_run_the_plan_when_the_original_is_installed_too(self) -> None:
        alone, _log = self._run(homes.ours(), "alone")
        both, log = self._run(homes.ours_and_original(), "both")
        self.assertEqual(both, alone)
        self.assertEqual(log.count(WHO), 1)
        self.assertIn("the WebSocket Samplers plugin is installed too and takes no part", log)

    def test_a_script_that_reaches_into_the_original_is_told_what_replaces_it(self) -> None:
        script = ('import eu.luminis.jmeter.wssampler.WebsocketSampler\n'
                  'def f = WebsocketSampler.getDeclaredField("threadLocalCachedConnection")\n'
                  'f.setAccessible(true); f.get(null).get().sendBinaryFrame([1] as byte[])')
        with ScriptedServer() as server:
            group = jmx.thread_group("script", jmx.open_connection("open", server="127.0.0.1", port=str(server.port), path="/e"),
                                     jmx.script("Sampler", script, "send bytes"), threads=3)
            run = self._plan(homes.ours(), "script", [group])
        log = run.log.read_text(encoding="utf8")
        sentence = "'send bytes' reaches into eu.luminis.jmeter.wssampler.WebsocketSampler of the WebSocket Samplers plugin"
        self.assertEqual(log.count(sentence), 1)
        self.assertIn("WebSocket Single Write Sampler with type Binary sends bytes", log)

    def test_connections_are_told_apart_by_their_id(self) -> None:
        with ScriptedServer() as server:
            where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port)}
            group = jmx.thread_group(
                "two", jmx.Element("eu.luminis.jmeter.wssampler.AdvancedOptionsElement",
                                   "eu.luminis.jmeter.wssampler.AdvancedOptionsGUI", "advanced",
                                   {"enableMultipleConnectionsPerThread": True}),
                jmx.open_connection("open a", **where, path="/s/t%3Afrom_a", connectionId="a"),
                jmx.open_connection("open b", **where, path="/s/t%3Afrom_b", connectionId=" ${__V(b)} "),
                jmx.single_read("read b", **where, createNewConnection=False, connectionId="${__V(b)}", readTimeout="2000")
                .holding(jmx.response_assertion("from b")),
                jmx.single_read("read a", **where, createNewConnection=False, connectionId="a", readTimeout="2000")
                .holding(jmx.response_assertion("from a")),
                jmx.close("close a", statusCode="1000", connectionId="a"),
                jmx.request_response("ask b", **where, createNewConnection=False, connectionId="b", requestData="b",
                                     readTimeout="2000"))
            group.children.insert(0, jmx.user_variables({"b": "b"}))
            run = self._plan(homes.ours(), "connection-ids", [group])
        failed = [(s["label"], s["message"]) for s in results.read(run.results) if not s["success"]]
        self.assertEqual(failed, [])

    def test_two_workers_give_what_one_local_run_gives(self) -> None:
        local, _log = self._run(homes.ours(), "local")
        with ScriptedServer() as server:
            directory = homes.TARGET / "installation" / "remote"
            directory.mkdir(parents=True, exist_ok=True)
            plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*_groups(server.port, directory)))
            with remote.workers([homes.ours(), homes.ours_without_dropin()], directory) as workers:
                run = workers.run(plan, homes.ours())
        outcome = _outcome(run.results)
        self.assertEqual(outcome, Counter({key: 2 * count for key, count in local.items()}))

    def _run(self, home: Home, name: str) -> tuple[Outcome, str]:
        with ScriptedServer() as server:
            run = self._plan(home, name, _groups(server.port, homes.TARGET / "installation" / name))
        return _outcome(run.results), run.log.read_text(encoding="utf8")

    def _plan(self, home: Home, name: str, groups: list[Element]) -> jmeter_process.Run:
        directory = homes.TARGET / "installation" / name
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*groups))
        return jmeter_process.run(home, plan, directory)


def _groups(port: int, directory: Path) -> list[Element]:
    directory.mkdir(parents=True, exist_ok=True)
    return shapes.json_rpc(port, directory) + shapes.lost_sockets(port, directory)


def _outcome(path: Path) -> Outcome:
    return Counter((s["label"], s["success"], s["code"], s["message"], s["bytes"], s["sentBytes"]) for s in results.read(path))


if __name__ == "__main__":
    unittest.main()
