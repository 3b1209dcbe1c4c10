"""Plans in the shapes that people have: what they test is made up, how they are built is not.

Each function returns the thread groups of one plan for a server at `port` (see `scripted_server`); `files` is where a
plan finds its fragments and payloads. Labels are the same in every run, so that runs can be compared by them.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.compat import jmx
from tests.compat.jmx import Element


def http_get(name: str, port: int, path: str) -> Element:
    """An HTTP Request."""
    return Element("HTTPSamplerProxy", "HttpTestSampleGui", name, {
        "HTTPSampler.domain": "127.0.0.1", "HTTPSampler.port": str(port), "HTTPSampler.protocol": "http",
        "HTTPSampler.path": path, "HTTPSampler.method": "GET", "HTTPSampler.follow_redirects": True,
        "HTTPSampler.use_keepalive": False, "args": jmx.element_prop(
            "HTTPsampler.Arguments", "Arguments", empty=jmx.collection("Arguments.arguments"))})


def _server(port: int, path: str) -> dict[str, jmx.Value]:
    return {"server": "127.0.0.1", "port": str(port), "path": path, "TLS": False, "connectTimeout": "5000"}


def _used(port: int) -> dict[str, jmx.Value]:
    return _server(port, "") | {"createNewConnection": False}


def _reply(value: object) -> str:
    """A message that makes the server answer with JSON."""
    return "!t:" + json.dumps(value, separators=(",", ":"))


def notifications(port: int, files: Path) -> list[Element]:
    """A softphone's notification channel: token, channel, socket for the whole run, events between think times."""
    once = jmx.controller("OnceOnlyController", "log in", None,
                          http_get("token", port, "/json/token").holding(jmx.json_extractor("token", "$.access_token")),
                          http_get("channel", port, "/json/channel").holding(
                              jmx.regex_extractor("wsPath", '"connectUri":"wss?://[^/]+(/[^"]*)"')),
                          jmx.open_connection("connect", **_server(port, "${wsPath}"), readTimeout="5000").holding(
                              jmx.header_manager([("Authorization", "Bearer ${token}"),
                                                  ("Sec-WebSocket-Protocol", "xmpp")])))
    listen = jmx.controller("WhileController", "listen", {"WhileController.condition": "LAST"},
                            jmx.single_read("event", **_used(port), dataType="Text", readTimeout="3000", optional=True)
                            .holding(jmx.ping_filter("answer pings", replyToPing=True, filterType="FilterAll"),
                                     jmx.text_filter("topic", comparisonType="NotContainsRegex", matchValue='"call"'),
                                     jmx.script("Assertion", "AssertionResult.setFailure(prev.responseCode != '200')",
                                                "until nothing comes")))
    events = "!p:keep t:{\"presence\":1} t:{\"call\":1} t:{\"presence\":2} t:{\"call\":2}"
    return [jmx.thread_group("agents", once,
                             jmx.request_response("register", **_used(port), payloadType="Text", readTimeout="5000",
                                                  requestData=_reply({"result": 200})).holding(
                                 jmx.response_assertion('"result":200')),
                             jmx.single_write("subscribe", **_used(port), payloadType="Text", requestData=events),
                             listen, jmx.constant_timer(50), threads=3, loops=2)]


def json_rpc(port: int, files: Path) -> list[Element]:
    """A media server's JSON-RPC: every step a request with extractors and assertions, one event, releases, close."""
    steps: list[Element] = [jmx.open_connection("open", **_server(port, "/e?sc=rpc"), readTimeout="5000")]
    for number, what in enumerate(("ping", "create pipeline", "create endpoint", "subscribe"), start=1):
        answer = {"id": number, "result": {"value": f"{what.replace(' ', '-')}-{number}", "sessionId": "s1"}}
        steps.append(jmx.request_response(what, **_used(port), payloadType="Text", readTimeout="5000",
                                          requestData=_reply(answer)).holding(
            jmx.json_extractor(f"object{number}", "$.result.value"), jmx.response_assertion('"sessionId":"s1"'),
            jmx.response_assertion("200", "Assertion.response_code", 8)))
    steps.append(jmx.single_write("gather", **_used(port), payloadType="Text",
                                  requestData='!t:{"method":"onEvent","candidate":"candidate:1"}'))
    steps.append(jmx.single_read("event", **_used(port), dataType="Text", readTimeout="5000", optional=False).holding(
        jmx.response_assertion("onEvent")))
    steps += [jmx.request_response("release", **_used(port), payloadType="Text", readTimeout="5000",
                                   requestData='{"method":"release","object":"${object2}"}').holding(
        jmx.response_assertion("create-pipeline-2"))]
    steps.append(jmx.close("close", statusCode="1000", readTimeout="5000"))
    return [jmx.thread_group("rpc", *steps, threads=2, loops=2)]


def co_editing(port: int, files: Path) -> list[Element]:
    """Co-editing over Socket.IO: open by a request, save under a lock that is refused the first time, ping filter all over."""
    lock = jmx.request_response(
        "lock", **_used(port), payloadType="Text", readTimeout="5000",
        requestData='!p: t:{"type":"saveLock","granted":${granted}}').holding(
        jmx.regex_extractor("got", '"granted":(true|false)'),
        jmx.script("PostProcessor", "vars.put('granted', 'true')", "granted next time"))
    retry = jmx.controller("WhileController", "until locked", {"WhileController.condition": "${__jexl3(\"${got}\" != \"true\",)}"}, lock)
    save = jmx.controller("TransactionController", "save", {"TransactionController.includeTimers": False,
                                                            "TransactionController.parent": False}, retry,
                          jmx.single_write("changes", **_used(port), payloadType="Text",
                                           requestData='!t:42["noise"] p: t:42["saved"]'),
                          jmx.single_read("saved", **_used(port), dataType="Text", readTimeout="5000").holding(
                              jmx.text_filter("only saved", comparisonType="NotContains", matchValue='"saved"')))
    return [jmx.thread_group(
        "editors", jmx.user_variables({"granted": "false", "got": "false"}),
        jmx.ping_filter("pings", replyToPing=True, filterType="FilterPingOnly"),
        jmx.request_response("open and authenticate", **_server(port, "/e?EIO=4&transport=websocket"), payloadType="Text",
                             createNewConnection=True, readTimeout="5000", requestData="!t:0{\"sid\":\"x\"} p: t:40"),
        jmx.single_read("connected", **_used(port), dataType="Text", readTimeout="5000").holding(jmx.response_assertion("40")),
        save, jmx.close("close", statusCode="1001", readTimeout="5000"), threads=2)]


def binary_streaming(port: int, files: Path) -> list[Element]:
    """Speech recognition: configuration, chunks of audio on a timer, results; another group polls over HTTP."""
    (files / "chunk.bin").write_bytes(bytes(range(256)) * 10)
    stream = jmx.controller("LoopController", "audio", {"LoopController.loops": "5", "LoopController.continue_forever": False},
                            jmx.single_write("chunk", **_used(port), payloadType="Binary", loadDataFromFile=True,
                                             dataFile=str(files / "chunk.bin")).holding(jmx.constant_timer(20)))
    results = jmx.controller("LoopController", "results", {"LoopController.loops": "5", "LoopController.continue_forever": False},
                             jmx.single_read("result", **_used(port), dataType="Any", readTimeout="5000").holding(
                                 jmx.binary_assertion("begins as sent", comparisonType="StartsWith", compareValue="00 01 02")))
    speech = jmx.thread_group(
        "speakers", jmx.header_manager([("X-Api-Key", "k")]),
        jmx.open_connection("open", **_server(port, "/e?sc=speech"), readTimeout="5000"),
        jmx.single_write("configure", **_used(port), payloadType="Text", requestData='!t:{"state":"listening"}'),
        jmx.single_read("ready", **_used(port), dataType="Text", readTimeout="5000").holding(jmx.response_assertion("listening")),
        stream, results, jmx.request_response("bytes", **_used(port), payloadType="Binary", readTimeout="5000",
                                              requestData="0xca 0xfe").holding(
            jmx.binary_assertion("echo", comparisonType="Equals", compareValue="cafe")),
        jmx.close("close", statusCode="1000", readTimeout="5000"), threads=2)
    health = jmx.thread_group("health", http_get("health", port, "/json/health"), loops=3)
    return [speech, health]


def open_then_http(port: int, files: Path) -> list[Element]:
    """A page that keeps its socket open and never reads it, while the test goes on over HTTP; the server pushes."""
    return [jmx.thread_group(
        "visitors", jmx.open_connection("socket", **_server(port, "/s/t%3Ahello%20t%3Aworld%20p%3Ax"), readTimeout="5000"),
        http_get("page", port, "/json/page"), http_get("data", port, "/json/data").holding(jmx.constant_timer(100)),
        http_get("more", port, "/json/more"), threads=3)]


def socket_per_iteration(port: int, files: Path) -> list[Element]:
    """A new connection in every iteration, and a new user, too."""
    return [jmx.thread_group(
        "requests", jmx.request_response("ask", **_server(port, "/e?sc=each"), payloadType="Text", createNewConnection=True,
                                         requestData="question ${__counter(TRUE,)}", readTimeout="5000").holding(
            jmx.response_assertion("101", "Assertion.response_code", 8), jmx.response_assertion("question")),
        jmx.request_response("again", **_used(port), payloadType="Text", requestData="again", readTimeout="5000"),
        threads=2, loops=4, same_user=False)]


def controllers(port: int, files: Path) -> list[Element]:
    """Fragments, If and While on the last-frame variable, Interleave, transactions, set-up and tear-down groups."""
    fragment = Element("TestFragmentController", "TestFragmentControllerGui", "fragment").holding(
        jmx.request_response("from the fragment", **_used(port), payloadType="Text", requestData="included", readTimeout="5000"))
    jmx.write(files / "fragment.jmx", jmx.test_plan(fragment))
    parts = jmx.controller(
        "WhileController", "parts", {"WhileController.condition": '${__jexl3("${websocket.last_frame_final}" != "true",)}'},
        jmx.single_read("next part", **_used(port), dataType="Text", readTimeout="5000"))
    return [
        jmx.thread_group("before", jmx.open_connection("open before", **_server(port, "/e?sc=before"), readTimeout="5000"),
                         jmx.close("close before", statusCode="1000", readTimeout="5000"), kind="SetupThreadGroup"),
        jmx.thread_group(
            "main", jmx.simple_config({"server": "127.0.0.1", "port": str(port), "path": "/e?sc=main"}),
            jmx.controller("OnceOnlyController", "once", None, jmx.open_connection("open", readTimeout="5000")),
            jmx.controller("IncludeController", "include", {"IncludeController.includepath": str(files / "fragment.jmx")}),
            jmx.request_response("fragmented", createNewConnection=False, payloadType="Text", readTimeout="5000",
                                 requestData="!tf:one kf:two k:three"),
            parts,
            jmx.controller("IfController", "if", {"IfController.condition": '${__jexl3("${websocket.last_frame_final}" == "true",)}',
                                                  "IfController.evaluateAll": False, "IfController.useExpression": True},
                           jmx.ping_pong("ping", type="PingPong", readTimeout="5000")),
            jmx.controller("InterleaveControl", "turns", {"InterleaveControl.style": 1},
                           jmx.request_response("odd turn", createNewConnection=False, payloadType="Text", requestData="odd",
                                                readTimeout="5000"),
                           jmx.request_response("even turn", createNewConnection=False, payloadType="TextStomp",
                                                requestData="CONNECT\n\n^@", readTimeout="5000")),
            jmx.controller("TransactionController", "transaction", {"TransactionController.parent": True},
                           jmx.ping_pong("pong", type="Pong", readTimeout="5000"),
                           jmx.request_response("in a transaction", createNewConnection=False, payloadType="Text",
                                                requestData="t", readTimeout="5000")),
            threads=2, loops=3),
        jmx.thread_group("after", jmx.single_read("no connection", **_used(port), dataType="Text", readTimeout="500"),
                         kind="PostThreadGroup"),
    ]


def lost_sockets(port: int, files: Path) -> list[Element]:
    """What a day brings: refusals, a server that closes, drops, stays silent or says the wrong thing, and the clean-up."""
    return [jmx.thread_group(
        "unlucky", jmx.open_connection("refused by status", **_server(port, "/h/503?sc=lost"), readTimeout="2000"),
        jmx.single_write("no connection", **_used(port), payloadType="Text", requestData="x"),
        jmx.open_connection("open", **_server(port, "/e?sc=lost"), readTimeout="2000"),
        jmx.request_response("silent", **_used(port), payloadType="Text", requestData="!hold t:late", readTimeout="300"),
        jmx.request_response("off by one", **_used(port), payloadType="Text", requestData="question", readTimeout="2000"),
        jmx.single_read("the reply before", **_used(port), dataType="Text", readTimeout="2000"),
        jmx.request_response("wrong kind", **_used(port), payloadType="Text", requestData="!b:cafe", readTimeout="2000"),
        jmx.request_response("server closes", **_used(port), payloadType="Text", requestData="!c:1001:going_away", readTimeout="2000"),
        jmx.request_response("gone", **_used(port), payloadType="Text", requestData="x", readTimeout="2000"),
        jmx.close("nothing to close", statusCode="1000", readTimeout="2000"),
        jmx.open_connection("open again", **_server(port, "/e?sc=lost"), readTimeout="2000"),
        jmx.request_response("server drops", **_used(port), payloadType="Text", requestData="!fin", readTimeout="2000"),
        jmx.single_read("nothing to read", **_used(port), dataType="Text", readTimeout="2000"), loops=2)]


ALL: dict[str, Callable[[int, Path], list[Element]]] = {
    f.__name__: f for f in (notifications, json_rpc, co_editing, binary_streaming, open_then_http, socket_per_iteration,
                            controllers, lost_sockets)}
"""Every shape by name."""
