"""Plans with canned descriptions, one for each shape of a message and one for each habit of the people who make plans.

Each function returns the thread groups of one case for a server at `port` (see `server`) and how many calls have to talk when
Auto ICE is on. `files` is where a case finds its fragments and bodies. Labels are the same in every run.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.auto_ice import canned, shapes
from tests.auto_ice.shapes import Event
from tests.compat import jmx
from tests.compat.jmx import Element

JANUS_HANDLE = "8244467842892561"
READ_MS = "25000"
"""Longer than the server waits for a call that talks."""


AT_ONCE = "at once"
"""Name of the Parallel Controller, and so of its threads."""


@dataclass(frozen=True)
class Case:
    """One plan, or a part of one."""

    name: str
    groups: list[Element]
    talking: int


# --- steps -------------------------------------------------------------------------------------------------------------

def _where(port: int, shape: str, case: str, **options: str | int) -> dict[str, jmx.Value]:
    query = "".join(f"&{name}={value}" for name, value in options.items())
    return {"server": "127.0.0.1", "port": str(port), "path": f"/ws?shape={shape}&sc={case}{query}", "TLS": False,
            "connectTimeout": "5000"}


def open_socket(port: int, shape: str, case: str, **options: str | int) -> Element:
    """Opens a socket of a case."""
    return jmx.open_connection("open", **_where(port, shape, case, **options), readTimeout="5000")


def _data(text: str) -> dict[str, jmx.Value]:
    """A message as it stands in a plan: characters that XML cannot have are written as people write them."""
    if "\0" in text:
        return {"payloadType": "TextStomp", "requestData": text.replace("\0", "^@")}
    return {"payloadType": "Text", "requestData": text.replace("\x1e", "${__char(30)}")}


def message(shape: str, kind: str, dialog: str, **how: bool) -> str:
    """An event in a shape, with a canned description or candidate."""
    text = ""
    if kind in shapes.KINDS:
        text = canned.sdp(kind, **how)
    elif kind == "candidate":
        text = canned.CANDIDATE
    return shapes.ALL[shape].put_on(Event(kind, dialog, text))


def _not_refused() -> Element:
    contains, negated = 2, 4
    return jmx.response_assertion("refused|SIP/2.0 488", kind=contains | negated, name="not refused")


def ask(shape: str, kind: str, dialog: str, name: str = "", **how: bool) -> Element:
    """Sends an event and reads the reply."""
    return jmx.request_response(name or kind, createNewConnection=False, readTimeout=READ_MS,
                                **_data(message(shape, kind, dialog, **how))).holding(_not_refused())


def _tell(shape: str, kind: str, dialog: str, name: str = "", **how: bool) -> Element:
    """Sends an event."""
    return jmx.single_write(name or kind, createNewConnection=False, **_data(message(shape, kind, dialog, **how)))


def _write(name: str, text: str) -> Element:
    return jmx.single_write(name, createNewConnection=False, **_data(text))


def _read(name: str) -> Element:
    return jmx.single_read(name, createNewConnection=False, dataType="Text", readTimeout=READ_MS)


def close() -> Element:
    """Closes the socket."""
    return jmx.close("close", statusCode="1000", readTimeout="5000")


def _once(*children: Element) -> Element:
    return jmx.controller("OnceOnlyController", "once", None, *children)


def _until(name: str, variable: str, value: str, *children: Element) -> Element:
    return jmx.controller("WhileController", name, {
        "WhileController.condition": f'${{__jexl3("${{{variable}}}" != "{value}",)}}'}, *children)


def _if(name: str, variable: str, value: str, *children: Element) -> Element:
    return jmx.controller("IfController", name, {
        "IfController.condition": f'${{__jexl3("${{{variable}}}" == "{value}",)}}', "IfController.evaluateAll": False,
        "IfController.useExpression": True}, *children)


def auto_ice(**properties: jmx.Value) -> Element:
    """WebRTC Auto ICE."""
    package = "io.github.jmeterwebrtc.jmeter.autoice."
    return Element(package + "AutoIce", package + "AutoIceGui", "Auto ICE", properties)


def http(name: str, port: int, path: str, method: str = "POST", body: str | None = None,
          fields: dict[str, str] | None = None, file: Path | None = None) -> Element:
    """An HTTP Request with a raw body, with fields of a form, or with a file as its body."""
    arguments = []
    if body is not None:
        arguments.append(jmx.element_prop("", "HTTPArgument", HTTPArgument__always_encode=False, Argument__value=body,
                                          Argument__metadata="="))
    for key, value in (fields or {}).items():
        arguments.append(jmx.element_prop(key, "HTTPArgument", HTTPArgument__always_encode=True, Argument__name=key,
                                          Argument__value=value, Argument__metadata="=", HTTPArgument__use_equals=True))
    properties: dict[str, jmx.Value] = {
        "HTTPSampler.domain": "127.0.0.1", "HTTPSampler.port": str(port), "HTTPSampler.protocol": "http",
        "HTTPSampler.path": path, "HTTPSampler.method": method, "HTTPSampler.follow_redirects": True,
        "HTTPSampler.use_keepalive": True, "HTTPSampler.postBodyRaw": body is not None,
        "args": jmx.element_prop("HTTPsampler.Arguments", "Arguments",
                                 items=jmx.collection("Arguments.arguments", *arguments))}
    if file:
        one = jmx.element_prop(str(file), "HTTPFileArg", File__path=str(file), File__paramname="",
                               File__mimetype="application/json")
        properties["files"] = jmx.element_prop("HTTPsampler.Files", "HTTPFileArgs",
                                               items=jmx.collection("HTTPFileArgs.files", one))
    return Element("HTTPSamplerProxy", "HttpTestSampleGui", name, properties)


def _group(name: str, *children: Element, threads: int = 1, loops: int = 1) -> Element:
    return jmx.thread_group(name, *children, threads=threads, loops=loops)


# --- shapes ------------------------------------------------------------------------------------------------------------

def shape_case(shape: str, port: int, files: Path) -> Case:
    """The plan offers in this shape, two threads with the same description."""
    name = f"shape {shape}"
    dialog = JANUS_HANDLE if shape == "janus" else f"call-{shape}"
    steps = [open_socket(port, shape, shape), ask(shape, "offer", dialog)]
    if shape == "sdpfrag":
        steps += [_tell(shape, "candidate", dialog),
                  _write("end of candidates", shapes.ALL[shape].put_on(Event("candidate", dialog, "")))]
    if shape.startswith("sip"):
        steps.append(_tell(shape, "ack", dialog))
    steps += [ask(shape, "status", dialog), ask(shape, "bye", dialog), close()]
    return Case(name, [_group(name, *steps, threads=2)], 2)


def genesys_case(port: int, files: Path) -> Case:
    """JSON-RPC in XMPP: the server offers, the plan answers, trickles and marks the end as the vendor's client does."""
    shape, dialog = "genesys", "sess-1"
    mark = shapes.ALL[shape].put_on(Event("candidate", dialog, ""))
    return Case("shape genesys", [_group(
        "shape genesys", open_socket(port, shape, shape, role="offers"), ask(shape, "ready", dialog, "propose"), ask(shape, "answer", dialog),
        _write("end of candidates", mark), _tell(shape, "candidate", dialog), _write("end of candidates again", mark),
        ask(shape, "status", dialog), ask(shape, "bye", dialog, "terminate"), close(), threads=2)], 2)


def all_shapes(port: int, files: Path) -> list[Case]:
    """One case for each shape."""
    plain = [shape_case(shape, port, files) for shape in shapes.ALL if shape != "genesys"]
    return [*plain, genesys_case(port, files)]


# --- habits --------------------------------------------------------------------------------------------------------------

def server_offers(port: int, files: Path) -> Case:
    """The server offers, the plan answers."""
    return Case("server offers", [_group(
        "server offers", open_socket(port, "json", "server_offers", role="offers"), ask("json", "ready", "in-1", "wait for the call"),
        ask("json", "answer", "in-1"), ask("json", "status", "in-1"), ask("json", "bye", "in-1"), close(), loops=2)], 2)


def early_answer(port: int, files: Path) -> Case:
    """The plan sends its answer before it has read the offer."""
    return Case("early answer", [_group(
        "early answer", open_socket(port, "json", "early_answer", role="offers"), _tell("json", "ready", "in-2"),
        _tell("json", "answer", "in-2"), _read("the offer"), _read("taken").holding(_not_refused()),
        ask("json", "status", "in-2"), ask("json", "bye", "in-2"), close())], 1)


def candidates_deleted(port: int, files: Path) -> Case:
    """All candidates were deleted from the plan, in the description and the steps that carried them."""
    return Case("candidates deleted", [_group(
        "candidates deleted", open_socket(port, "json", "candidates_deleted"), ask("json", "offer", "del-1", candidates=False),
        ask("json", "status", "del-1"), ask("json", "bye", "del-1"), close(), threads=2)], 2)


def gather_candidates(port: int, files: Path) -> Case:
    """Kurento: `gatherCandidates` after the answer, candidates as events and by `addIceCandidate`."""
    shape, dialog = "kurento", "kms-1"
    return Case("gather candidates", [_group(
        "gather candidates", open_socket(port, shape, "gather_candidates", trickle=1), ask(shape, "offer", dialog, "processOffer"),
        ask(shape, "gather", dialog, "gatherCandidates"), _read("IceCandidateFound"),
        jmx.request_response("addIceCandidate", createNewConnection=False, readTimeout=READ_MS,
                             **_data(shapes.kurento_candidate(dialog, canned.CANDIDATE))),
        ask(shape, "status", dialog), ask(shape, "bye", dialog, "release"), close())], 1)


def trickle(port: int, files: Path) -> Case:
    """Janus: candidates of both sides in messages of their own, the end marked."""
    shape = "janus"
    return Case("trickle", [_group(
        "trickle", open_socket(port, shape, "trickle", trickle=1), ask(shape, "offer", JANUS_HANDLE, candidates=False),
        _read("their candidate"), _tell(shape, "candidate", JANUS_HANDLE, "candidate 1"),
        _tell(shape, "candidate", JANUS_HANDLE, "candidate 2"),
        _write("completed", shapes.ALL[shape].put_on(Event("candidate", JANUS_HANDLE, ""))),
        ask(shape, "status", JANUS_HANDLE), ask(shape, "bye", JANUS_HANDLE, "hangup"), close())], 1)


def dispatch(port: int, files: Path) -> Case:
    """What the server says is read in a loop and told apart by its type."""
    listen = _until("until answered", "what", "answer", _read("next").holding(jmx.json_extractor("what", "$.type")),
                    _if("if ringing", "what", "ringing", _tell("json", "ack", "dis-1", "note the ringing")))
    # `ack` is of SIP; as JSON the server takes it without an answer.
    return Case("dispatch", [_group(
        "dispatch", jmx.user_variables({"what": "none"}), open_socket(port, "json", "dispatch", chatter=1), _tell("json", "offer", "dis-1"),
        listen, ask("json", "status", "dis-1"), ask("json", "bye", "dis-1"), close())], 1)


def interleave(port: int, files: Path) -> Case:
    """Every other call is declined."""
    accept = jmx.controller("GenericController", "accept", None, ask("json", "answer", "alt-1"), ask("json", "status", "alt-1"),
                            ask("json", "bye", "alt-1"))
    decline = ask("json", "decline", "alt-1")
    return Case("interleave", [_group(
        "interleave", _once(open_socket(port, "json", "interleave", role="offers")), ask("json", "ready", "alt-1", "wait for the call"),
        jmx.controller("InterleaveControl", "turns", {"InterleaveControl.style": 1}, accept, decline), loops=4)], 2)


def extractors(port: int, files: Path) -> Case:
    """The canned offer is a variable; the answer is taken out of the reply and sent back in another message."""
    sdp = message("json", "offer", "ext-1").split('"sdp": "', 1)[1].split('"', 1)[0]
    return Case("extractors", [_group(
        "extractors", jmx.user_variables({"cannedOffer": sdp}), open_socket(port, "json", "extractors"),
        jmx.request_response("offer", createNewConnection=False, readTimeout=READ_MS, payloadType="Text",
                             requestData='{"type": "offer", "sessionId": "ext-1", "sdp": "${cannedOffer}"}').holding(
            jmx.regex_extractor("theirs", '"sdp": "([^"]*)"'), _not_refused()),
        jmx.request_response("confirm", createNewConnection=False, readTimeout=READ_MS, payloadType="Text",
                             requestData='{"type": "confirm", "sessionId": "ext-1", "sdp": "${theirs}"}').holding(_not_refused()),
        ask("json", "status", "ext-1"), ask("json", "bye", "ext-1"), close())], 1)


def filtered(port: int, files: Path) -> Case:
    """A filter keeps the answer from the plan."""
    return Case("filtered", [_group(
        "filtered", open_socket(port, "json", "filtered", trickle=1), _tell("json", "offer", "fil-1"), _tell("json", "status", "fil-1"),
        _read("talking").holding(jmx.text_filter("only ok", comparisonType="NotContains", matchValue='"ok"')),
        ask("json", "bye", "fil-1"), close())], 1)


def looped_with_bye(port: int, files: Path) -> Case:
    """One socket, a call in each iteration, each hung up."""
    return Case("looped with bye", [_group(
        "looped with bye", _once(open_socket(port, "sip", "looped_with_bye")), ask("sip", "offer", "loop-1", "INVITE"),
        _tell("sip", "ack", "loop-1", "ACK"), ask("sip", "status", "loop-1"), ask("sip", "bye", "loop-1", "BYE"), loops=3)], 3)


def looped_without_bye(port: int, files: Path) -> Case:
    """One socket, an offer in each iteration, none hung up."""
    return Case("looped without bye", [_group(
        "looped without bye", _once(open_socket(port, "json", "looped_without_bye")), ask("json", "offer", "loop-2"),
        ask("json", "status", "loop-2"), loops=3)], 3)


def socket_per_iteration(port: int, files: Path) -> Case:
    """Each iteration opens a socket and leaves it."""
    return Case("socket per iteration", [_group(
        "socket per iteration",
        jmx.request_response("offer", **_where(port, "json", "socket_per_iteration"), createNewConnection=True, readTimeout=READ_MS,
                             **_data(message("json", "offer", "each-1"))).holding(_not_refused()),
        ask("json", "status", "each-1"), loops=3)], 3)


def parallel(port: int, files: Path) -> Case:
    """A Parallel Controller: one child waits for the answer, the other one sends the offer."""
    at_once = Element("com.blazemeter.jmeter.controller.ParallelSampler",
                      "com.blazemeter.jmeter.controller.ParallelControllerGui", AT_ONCE,
                      {"MAX_THREAD_NUMBER": 6, "PARENT_SAMPLE": False, "LIMIT_MAX_THREAD_NUMBER": False})
    return Case("parallel", [_group(
        "parallel", open_socket(port, "json", "parallel"),
        at_once.holding(_read("answer"), _tell("json", "offer", "par-1").holding(jmx.constant_timer(300))),
        ask("json", "status", "par-1"), ask("json", "bye", "par-1"), close())], 1)


def http_post(port: int, files: Path) -> Case:
    """Offer and answer in one HTTP exchange."""
    where = "/http?shape=json&sc=http_post"
    return Case("http post", [_group(
        "http post", auto_ice(), http("offer", port, where, body=message("json", "offer", "web-${__threadNum}")).holding(_not_refused()),
        http("candidate", port, where, body=message("json", "candidate", "web-${__threadNum}")),
        http("status", port, where, body=message("json", "status", "web-${__threadNum}")),
        http("bye", port, where, body=message("json", "bye", "web-${__threadNum}")), threads=2, loops=2)], 4)


def http_polling(port: int, files: Path) -> Case:
    """One group offers over HTTP, another one fetches the answer."""
    where = "/post?shape=json&sc=http_polling"
    callers = _group("http callers", auto_ice(), http("offer", port, where, body=message("json", "offer", "poll-1")),
                     http("status", port, where, body=message("json", "status", "poll-1")),
                     http("bye", port, where, body=message("json", "bye", "poll-1")))
    pollers = _group("http pollers", auto_ice(), http("poll", port, "/poll/poll-1", "GET").holding(_not_refused()))
    return Case("http polling", [callers, pollers], 1)


def http_form(port: int, files: Path) -> Case:
    """The fields of a form."""
    where = "/http?shape=form&sc=http_form"

    def step(kind: str) -> Element:
        fields = {"type": kind, "session_id": "form-1"}
        fields |= {"sdp": canned.sdp(kind)} if kind == "offer" else {"text": "-"}
        return http(kind, port, where, fields=fields).holding(_not_refused())
    return Case("http form", [_group("http form", auto_ice(), step("offer"), step("status"), step("bye"))], 1)


def http_file(port: int, files: Path) -> Case:
    """The offer is a file."""
    where = "/http?shape=json&sc=http_file"
    file = files / "offer.json"
    file.write_bytes(message("json", "offer", "file-1").encode())
    return Case("http file", [_group(
        "http file", auto_ice(), http("offer", port, where, file=file).holding(_not_refused()),
        http("status", port, where, body=message("json", "status", "file-1")),
        http("bye", port, where, body=message("json", "bye", "file-1")), loops=2)], 2)


def whip(port: int, files: Path) -> Case:
    """WHIP (RFC 9725): an offer as the body, the answer as the response."""
    location = jmx.regex_extractor("resource", "Location: (\\S+)")
    location.properties["RegexExtractor.useHeaders"] = "true"
    return Case("whip", [_group(
        "whip", auto_ice(), jmx.header_manager([("Content-Type", "application/sdp")]),
        http("publish", port, "/whip?sc=whip", body=canned.sdp("offer")).holding(
            location, jmx.response_assertion("201", "Assertion.response_code", 8)),
        http("status", port, "${resource}", "GET"), http("end", port, "${resource}", "DELETE"))], 1)


def video(port: int, files: Path) -> Case:
    """Audio and video."""
    return Case("video", [_group(
        "video", open_socket(port, "json", "video"), ask("json", "offer", "vid-1", video=True), ask("json", "status", "vid-1"),
        ask("json", "bye", "vid-1"), close())], 1)


def overlay(port: int, files: Path) -> Case:
    """The server wants a line of its own back, so the text of the description is kept."""
    return Case("overlay", [_group(
        "overlay", auto_ice(**{"AutoIce.overlay": True}), open_socket(port, "json", "overlay"), ask("json", "offer", "over-1", room=True),
        ask("json", "status", "over-1"), ask("json", "bye", "over-1"), close())], 1)


def own_elements(port: int, files: Path) -> Case:
    """The WebSocket samplers of this plugin, with the element in their scope."""
    package = "io.github.jmeterwebrtc.jmeter.websocket."

    def step(kind: str) -> Element:
        return Element(package + "RequestResponseSampler", package + "RequestResponseSamplerGui", kind, {
            "createNewConnection": False, "readTimeout": READ_MS, **_data(message("json", kind, "own-1"))}).holding(_not_refused())
    opening = Element(package + "OpenConnectionSampler", package + "OpenConnectionSamplerGui", "open",
                      _where(port, "json", "own_elements"))
    return Case("own elements", [_group("own elements", auto_ice(), opening, step("offer"), step("status"), step("bye"), loops=2)], 2)


def include_and_module(port: int, files: Path) -> Case:
    """The offer stands in an included file, the rest in a fragment that a Module Controller names."""
    fragment = Element("TestFragmentController", "TestFragmentControllerGui", "offering").holding(ask("json", "offer", "inc-1"))
    write(files / "offering.jmx", jmx.test_plan(fragment))
    path = jmx.collection("ModuleController.node_path", *(jmx.prop(str(i), name) for i, name in enumerate(
        ("Test Plan", "Test Plan", "talking and hanging up"))))
    rest = Element("TestFragmentController", "TestFragmentControllerGui", "talking and hanging up").holding(
        ask("json", "status", "inc-1"), ask("json", "bye", "inc-1"))
    module = Element("ModuleController", "ModuleControllerGui", "module", {"path": path})
    group = _group("include and module", open_socket(port, "json", "include"),
                   jmx.controller("IncludeController", "include", {"IncludeController.includepath": str(files / "offering.jmx")}),
                   module, close())
    return Case("include and module", [group, rest], 1)


def dropped_socket(port: int, files: Path) -> Case:
    """The server drops the socket in the middle of the call, which goes on."""
    gone = jmx.single_read("gone", createNewConnection=False, dataType="Text", readTimeout="10000")
    return Case("dropped socket", [_group(
        "dropped socket", open_socket(port, "json", "dropped_socket", drop=100), ask("json", "offer", "drop-1"), gone,
        http("talking", port, "/talking/dropped_socket", "GET"))], 1)


HABITS: tuple[Callable[[int, Path], Case], ...] = (
    server_offers, early_answer, candidates_deleted, gather_candidates, trickle, dispatch, interleave, extractors, filtered,
    looped_with_bye, looped_without_bye, socket_per_iteration, parallel, http_post, http_polling, http_form, http_file, whip, video,
    overlay, own_elements, include_and_module, dropped_socket)


def crowd(port: int, threads: int) -> Case:
    """Many threads that share one description; each holds its call until all talk."""
    barrier = Element("SyncTimer", "TestBeanGUI", "all together", {"groupSize": threads, "timeoutInMs": "90000"})
    package = "io.github.jmeterwebrtc.jmeter.config."
    # Two cores have to be enough.
    patient = Element(package + "WebRtcDefaults", package + "WebRtcDefaultsGui", "patience", {"WebRTC.firstRtpTimeout": "30000"})
    return Case("crowd", [jmx.thread_group(
        "crowd", patient, open_socket(port, "json", "crowd"), ask("json", "offer", "crowd-1"), ask("json", "status", "crowd-1"),
        ask("json", "bye", "crowd-1").holding(barrier), close(), threads=threads, ramp=8)], threads)


def held(port: int, threads: int) -> Case:
    """Calls that are held until JMeter is told to stop."""
    return Case("held", [_group(
        "held", open_socket(port, "json", "held"), ask("json", "offer", "held-1"), ask("json", "status", "held-1"),
        jmx.single_read("hold", createNewConnection=False, dataType="Text", readTimeout="0"),
        ask("json", "bye", "held-1"), threads=threads)], threads)


def write(path: Path, plan: Element) -> Path:
    """Writes a plan; line ends inside texts stay what they are, as JMeter writes them."""
    jmx.write(path, plan)
    path.write_bytes(path.read_bytes().replace(b"\r", b"&#xd;"))
    return path


def write_cases(path: Path, cases: list[Case], serialize: bool = False) -> Path:
    """Writes one plan of all cases."""
    return write(path, jmx.test_plan(*(group for case in cases for group in case.groups), serialize=serialize))
