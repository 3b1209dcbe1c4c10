"""What the second jar holds, and what plans of the unreleased branch and scripts get from it."""
from __future__ import annotations

import unittest
import zipfile

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.jmx import Element
from tests.compat.scripted_server import ScriptedServer



class InstallationTest(unittest.TestCase):
    """Who runs a plan, and that it makes no difference where."""

    def test_the_second_jar_is_the_mapping_and_a_manifest(self) -> None:
        jar, = (homes.OURS / "lib" / "ext").glob("jmeter-webrtc-dropin-*.jar")
        with zipfile.ZipFile(jar) as archive:
            files = [name for name in archive.namelist() if not name.endswith("/")]
        self.assertEqual(files, ["META-INF/MANIFEST.MF",
                                 "META-INF/resources/org.apache.jmeter.nameupdater.properties"])

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

    def _plan(self, home: Home, name: str, groups: list[Element]) -> jmeter_process.Run:
        directory = homes.TARGET / "installation" / name
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*groups))
        return jmeter_process.run(home, plan, directory)


if __name__ == "__main__":
    unittest.main()
