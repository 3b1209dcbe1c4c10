"""What scripts call on the sampler that runs: the getters and setters that the original has, with the same answers."""
from __future__ import annotations

import unittest

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.homes import Home
from tests.compat.jmx import Element
from tests.compat.scripted_server import ScriptedServer

ADDRESS = "s.server, s.port, s.path, s.TLS, s.connectTimeout, s.readTimeout"
ANSWERS = {
    "open": f"[{ADDRESS}, s.headerManager.get(0).name, s.cookieManager.cookieCount]",
    "ask": f"[{ADDRESS}, s.requestData, s.createNewConnection, s.loadDataFromFile, s.dataFile, s.type, s.type.class.enum]",
    "write": "[s.server, s.port, s.path, s.TLS, s.connectTimeout, s.requestData, s.createNewConnection, s.loadDataFromFile,"
             " s.dataFile, s.type]",
    "read": f"[{ADDRESS}, s.createNewConnection, s.optional, s.dataType, s.dataType.class.enum]",
    "ping": "[s.type, s.type.class.enum, s.readTimeout]",
    "close": "[s.statusCode, s.readTimeout]",
}
"""Groovy lists of what each sampler `s` says about itself."""
SETTERS = {
    "open": 's.setServer("127.0.0.1"); s.setPort(s.getPort()); s.setPath("/e?sc=set"); s.setTLS(false);'
            ' s.setConnectTimeout("3000"); s.setReadTimeout("2500");'
            ' s.getCookieManager().add(new org.apache.jmeter.protocol.http.control.Cookie("c", "v", "127.0.0.1", "/", false, 0))',
    "ask": 's.setRequestData("set"); s.setCreateNewConnection(false); s.setLoadDataFromFile(false); s.setDataFile("");'
           ' s.setReadTimeout("2400"); s.setType(s.getType())',
    "write": 's.setRequestData("written"); s.setCreateNewConnection(false)',
    "read": 's.setOptional(true); s.setDataType(s.getDataType()); s.setReadTimeout("2300")',
    "ping": 's.setType(s.getType()); s.setReadTimeout("2200")',
    "close": 's.setStatusCode("4002"); s.setReadTimeout("2100")',
}
"""What a script before each sampler sets."""


class ScriptsTest(unittest.TestCase):
    """One plan with a script before and after every sampler."""

    def test_scripts_get_the_answers_that_the_original_gives_and_set_what_it_lets_them_set(self) -> None:
        with ScriptedServer() as server:
            want = self._run(homes.original()[0], server, "original")
            got = self._run(homes.ours(), server, "ours")
        self.assertEqual([sample["label"] for sample in want], list(ANSWERS))
        self.assertEqual([sample["label"] for sample in want if not sample["success"]], [])
        self.assertEqual(results.differences(want, got), [])

    @staticmethod
    def _run(home: Home, server: ScriptedServer, name: str) -> list[results.Sample]:
        where: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": str(server.port), "path": "/e?sc=scripts"}
        used = where | {"createNewConnection": False}
        steps = [jmx.open_connection("open", **where), jmx.request_response("ask", **used, requestData="x", payloadType="Text"),
                 jmx.single_write("write", **used, requestData="x", payloadType="Text"),
                 jmx.single_read("read", **used, dataType="Text", optional=False), jmx.ping_pong("ping", type="PingPong"),
                 jmx.close("close", statusCode="1000")]
        for step in steps:
            before = jmx.script("PreProcessor", f"def s = ctx.getCurrentSampler(); {SETTERS[step.name]}", "before")
            after = jmx.script("PostProcessor", "def s = ctx.getCurrentSampler(); prev.setResponseMessage("
                                                f"prev.getResponseMessage() + ' ' + {ANSWERS[step.name]})", "after")
            step.holding(before, after)
        group = jmx.thread_group("scripts", jmx.header_manager([("X-One", "1")]), jmx.cookie_manager([]), *steps)
        directory = homes.TARGET / "scripts" / name
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(group))
        return results.read(jmeter_process.run(home, plan, directory, {"webrtc.websocket.compat": "strict"}).results)


if __name__ == "__main__":
    unittest.main()
