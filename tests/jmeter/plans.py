"""JMeter plans written down in Python: only what a test is about, the rest in the defaults that JMeter's GUI gives.

    write_plan(path, thread_group("phones", open_socket(port), call(), hang_up(), threads=3))
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union
from xml.etree.ElementTree import Element, SubElement

Value = Union[str, int, bool]

PACKAGE = "io.github.jmeterwebrtc.jmeter"


@dataclass
class Node:
    """An element of a plan with the elements below it."""

    element: Element
    children: list["Node"] = field(default_factory=list)

    def with_children(self, *children: "Node") -> "Node":
        """The same element with these below it."""
        return Node(self.element, [*self.children, *children])


def put(element: Element, **properties: Value) -> Element:
    """Adds JMeter properties; `__` in a name stands for a dot."""
    for name, value in properties.items():
        if isinstance(value, bool):
            kind, text = "boolProp", str(value).lower()
        else:
            kind, text = "stringProp", str(value)
        SubElement(element, kind, name=name.replace("__", ".")).text = text
    return element


def node(test_class: str, gui_class: str, name: str, **properties: Value) -> Node:
    """An element of any class; core classes go by their short names, ours by their full ones."""
    element = Element(test_class, guiclass=gui_class, testclass=test_class, testname=name, enabled="true")
    return Node(put(element, **properties))


# --- JMeter's own elements ------------------------------------------------------------------------------------


def thread_group(
    name: str,
    *children: Node,
    threads: int = 1,
    ramp: int = 0,
    loops: int = 1,
    duration: int | None = None,
    on_error: str = "continue",
) -> Node:
    """A thread group; `duration` (seconds) turns its scheduler on."""
    group = node(
        "ThreadGroup",
        "ThreadGroupGui",
        name,
        ThreadGroup__on_sample_error=on_error,
        ThreadGroup__num_threads=threads,
        ThreadGroup__ramp_time=ramp,
        ThreadGroup__scheduler=duration is not None,
        ThreadGroup__duration=duration or 0,
        ThreadGroup__delay=0,
        ThreadGroup__same_user_on_next_iteration=True,
    )
    controller = SubElement(
        group.element,
        "elementProp",
        name="ThreadGroup.main_controller",
        elementType="LoopController",
        guiclass="LoopControlPanel",
        testclass="LoopController",
    )
    # Absent, continue_forever would mean an endless loop (JMeter 5.6).
    put(controller, LoopController__continue_forever=False, LoopController__loops=loops)
    return group.with_children(*children)


def once(*children: Node) -> Node:
    """A Once Only Controller: its children run in the first iteration only."""
    return node("OnceOnlyController", "OnceOnlyControllerGui", "once").with_children(*children)


def only_if(condition: str, *children: Node) -> Node:
    """An If Controller: its children run where a JEXL expression is true."""
    properties: dict[str, Value] = dict(IfController__condition=f"${{__jexl3({condition})}}", IfController__useExpression=True)
    return node("IfController", "IfControllerPanel", condition, **properties).with_children(*children)


def csv_data_set(file: str, variables: str) -> Node:
    """A CSV Data Set Config: each iteration of each thread takes a line of the file, whose path is relative to the plan; a thread
    for which there is none left ends."""
    return node(
        "CSVDataSet",
        "TestBeanGUI",
        f"lines of {file}",
        filename=file,
        fileEncoding="UTF-8",
        variableNames=variables,
        delimiter=",",
        quotedData=False,
        ignoreFirstLine=False,
        recycle=False,
        stopThread=True,
        shareMode="shareMode.all",
    )


def think(milliseconds: int) -> Node:
    """Think time: a Flow Control Action that pauses."""
    pause = node("TestAction", "TestActionGui", f"think {milliseconds} ms")
    for name, value in (("ActionProcessor.action", 1), ("ActionProcessor.target", 0)):
        SubElement(pause.element, "intProp", name=name).text = str(value)
    put(pause.element, ActionProcessor__duration=milliseconds)
    return pause


def together(threads: int, timeout_ms: int) -> Node:
    """A Synchronizing Timer: nobody goes on before so many threads have come."""
    timer = node("SyncTimer", "TestBeanGUI", f"wait for {threads}")
    SubElement(timer.element, "intProp", name="groupSize").text = str(threads)
    SubElement(timer.element, "longProp", name="timeoutInMs").text = str(timeout_ms)
    return timer


# --- Our elements ---------------------------------------------------------------------------------------------


def socket_sampler(kind: str, name: str, **properties: Value) -> Node:
    """One of the WebSocket samplers by the middle of its class name: `OpenConnection`, `SingleRead`, …"""
    test_class = f"{PACKAGE}.websocket.{kind}Sampler"
    return node(test_class, f"{test_class}Gui", name, **properties)


def open_socket(port: Value, name: str = "WebSocket open", **properties: Value) -> Node:
    """WebSocket Open Connection to the lab on loopback."""
    chosen: dict[str, Value] = dict(server="127.0.0.1", port=port, path="/", TLS=False, connectTimeout=5000, readTimeout=5000)
    return socket_sampler("OpenConnection", name, **{**chosen, **properties})


def read(name: str = "WebSocket read", **properties: Value) -> Node:
    """WebSocket Single Read on the thread's connection."""
    chosen: dict[str, Value] = dict(createNewConnection=False, dataType="Text", readTimeout=5000, optional=False)
    return socket_sampler("SingleRead", name, **{**chosen, **properties})


def exchange(text: str, name: str = "WebSocket request-response", **properties: Value) -> Node:
    """WebSocket request-response Sampler on the thread's connection."""
    chosen: dict[str, Value] = dict(createNewConnection=False, payloadType="Text", requestData=text, readTimeout=5000)
    return socket_sampler("RequestResponse", name, **{**chosen, **properties})


def close_socket(name: str = "WebSocket close", **properties: Value) -> Node:
    """WebSocket Close of the thread's connection."""
    chosen: dict[str, Value] = dict(statusCode=1000, readTimeout=5000)
    return socket_sampler("Close", name, **{**chosen, **properties})


def lab_server(kind: str = "", **properties: Value) -> Node:
    """WebRTC Lab Server: a lab inside JMeter, with a counterpart of this kind."""
    test_class = f"{PACKAGE}.lab.LabServer"
    return node(test_class, f"{test_class}Gui", "WebRTC Lab Server", kind=kind, **properties)


def defaults(**settings: Value) -> Node:
    """WebRTC Defaults with these settings, by their names without `WebRTC.`"""
    test_class = f"{PACKAGE}.config.WebRtcDefaults"
    return node(test_class, f"{test_class}Gui", "WebRTC Defaults", **setting_properties(settings))


def call(name: str = "WebRTC connect", to: str = "tone", **settings: Value) -> Node:
    """WebRTC Call over the thread's connection; settings as of WebRTC Defaults, which are merged into it anyway."""
    return call_sampler("Call", name, to=to, **setting_properties(settings))


def media_check(name: str = "WebRTC media check", **properties: Value) -> Node:
    """WebRTC Media Check of the thread's call."""
    return call_sampler("MediaCheck", name, **properties)


def hang_up(name: str = "WebRTC hang up", **properties: Value) -> Node:
    """WebRTC Hang Up of the thread's call."""
    return call_sampler("HangUp", name, **properties)


def call_sampler(kind: str, name: str, **properties: Value) -> Node:
    """One of the WebRTC samplers by the middle of its class name."""
    test_class = f"{PACKAGE}.call.{kind}Sampler"
    return node(test_class, f"{test_class}Gui", name, **properties)


def register(parameters: dict[str, Value], name: str = "register", profile: str = "genesys", **properties: Value) -> Node:
    """WebRTC Softphone Register with the parameters of a profile."""
    lines = "\n".join(f"{key}={value}" for key, value in parameters.items())
    return softphone_sampler("Register", name, profile=profile, parameters=lines, **properties)


def unregister(name: str = "unregister", **properties: Value) -> Node:
    """WebRTC Softphone Unregister of the thread's softphone."""
    return softphone_sampler("Unregister", name, **properties)


def answer_call(name: str = "answer", **properties: Value) -> Node:
    """WebRTC Answer Call of the thread's softphone."""
    return call_sampler("AnswerCall", name, **properties)


def call_control(command: str, **properties: Value) -> Node:
    """WebRTC Call Control of the thread's call, labelled by its command."""
    return call_sampler("CallControl", command, command=command, **properties)


def softphone_sampler(kind: str, name: str, **properties: Value) -> Node:
    """One of the softphone samplers by the middle of its class name."""
    test_class = f"{PACKAGE}.softphone.{kind}Sampler"
    return node(test_class, f"{test_class}Gui", name, **properties)


def setting_properties(settings: dict[str, Value]) -> dict[str, Value]:
    """Settings by the property names of WebRTC Defaults."""
    return {f"WebRTC__{name}": value for name, value in settings.items()}


# --- The file -------------------------------------------------------------------------------------------------


def write_plan(path: Path, *children: Node) -> Path:
    """Writes a plan with these elements at its top level, and returns the path."""
    root = Element("jmeterTestPlan", version="1.2", properties="5.0", jmeter="5.6.3")
    plan = node("TestPlan", "TestPlanGui", path.stem)
    variables = SubElement(
        plan.element,
        "elementProp",
        name="TestPlan.user_defined_variables",
        elementType="Arguments",
        guiclass="ArgumentsPanel",
        testclass="Arguments",
    )
    SubElement(variables, "collectionProp", name="Arguments.arguments")
    append(SubElement(root, "hashTree"), plan.with_children(*children))
    ElementTree.indent(root)
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
    return path


def append(tree: Element, item: Node) -> None:
    """Adds an element and, in the hash tree behind it, those below it."""
    tree.append(item.element)
    below = SubElement(tree, "hashTree")
    for child in item.children:
        append(below, child)
