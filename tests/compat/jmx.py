"""JMeter plans as Python values: an element is a class, a GUI class, a name and properties; children nest."""
from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

SAMPLERS = "eu.luminis.jmeter.wssampler."
Value = "str | bool | int | ET.Element"


@dataclass
class Element:
    """One test element; `children` is its hash tree."""

    test: str
    gui: str
    name: str
    properties: dict[str, Value] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    enabled: bool = True

    def holding(self, *children: "Element") -> "Element":
        """The element itself, with children added."""
        self.children.extend(children)
        return self


def write(path: Path, plan: Element) -> Path:
    """Writes the plan as .jmx."""
    root = ET.Element("jmeterTestPlan", version="1.2", properties="5.0", jmeter="5.6.3")
    _append(ET.SubElement(root, "hashTree"), plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)
    return path


def _append(tree: ET.Element, element: Element) -> None:
    node = ET.SubElement(tree, element.test, guiclass=element.gui, testclass=element.test, testname=element.name,
                         enabled=str(element.enabled).lower())
    for key, value in element.properties.items():
        node.append(value if isinstance(value, ET.Element) else prop(key, value))
    below = ET.SubElement(tree, "hashTree")
    for child in element.children:
        _append(below, child)


def prop(key: str, value: str | bool | int) -> ET.Element:
    """A property element of the matching kind."""
    kind = "boolProp" if isinstance(value, bool) else "intProp" if isinstance(value, int) else "stringProp"
    e = ET.Element(kind, name=key)
    e.text = str(value).lower() if isinstance(value, bool) else str(value)
    return e


def collection(name: str, *items: ET.Element) -> ET.Element:
    """A `collectionProp`."""
    e = ET.Element("collectionProp", name=name)
    e.extend(items)
    return e


def element_prop(name: str, kind: str, **properties: object) -> ET.Element:
    """An `elementProp`; `__` in keyword names stands for a dot."""
    e = ET.Element("elementProp", name=name, elementType=kind, testname=name)
    for key, value in properties.items():
        e.append(value if isinstance(value, ET.Element) else prop(key.replace("__", "."), value))
    return e


# --- JMeter's own elements -------------------------------------------------------------------------------------------

def test_plan(*children: Element, serialize: bool = False, variables: dict[str, str] | None = None) -> Element:
    """The root."""
    arguments = collection("Arguments.arguments", *(
        element_prop(k, "Argument", Argument__name=k, Argument__value=v, Argument__metadata="=")
        for k, v in (variables or {}).items()))
    own = ET.Element("elementProp", name="TestPlan.user_defined_variables", elementType="Arguments")
    own.append(arguments)
    return Element("TestPlan", "TestPlanGui", "Test Plan", {
        "TestPlan.functional_mode": False, "TestPlan.serialize_threadgroups": serialize, "variables": own,
    }).holding(*children)


def thread_group(name: str, *children: Element, threads: int | str = 1, loops: int | str = 1, ramp: int | str = 0,
                 kind: str = "ThreadGroup", same_user: bool = True) -> Element:
    """A thread group (`kind` may be SetupThreadGroup or PostThreadGroup)."""
    loop = element_prop("ThreadGroup.main_controller", "LoopController", LoopController__continue_forever=False,
                        LoopController__loops=str(loops))
    gui = {"ThreadGroup": "ThreadGroupGui", "SetupThreadGroup": "SetupThreadGroupGui",
           "PostThreadGroup": "PostThreadGroupGui"}[kind]
    return Element(kind, gui, name, {
        "ThreadGroup.on_sample_error": "continue", "loop": loop, "ThreadGroup.num_threads": str(threads),
        "ThreadGroup.ramp_time": str(ramp), "ThreadGroup.same_user_on_next_iteration": same_user,
    }).holding(*children)


def header_manager(headers: list[tuple[str, str]], name: str = "headers") -> Element:
    """An HTTP Header Manager."""
    items = [element_prop("", "Header", Header__name=k, Header__value=v) for k, v in headers]
    return Element("HeaderManager", "HeaderPanel", name, {"h": collection("HeaderManager.headers", *items)})


def cookie_manager(cookies: list[tuple[str, str]], domain: str = "127.0.0.1", name: str = "cookies") -> Element:
    """An HTTP Cookie Manager with given cookies."""
    items = [element_prop(k, "Cookie", Cookie__value=v, Cookie__domain=domain, Cookie__path="/",
                          Cookie__secure=False, Cookie__path_specified=True, Cookie__domain_specified=True)
             for k, v in cookies]
    return Element("CookieManager", "CookiePanel", name, {
        "c": collection("CookieManager.cookies", *items), "CookieManager.clearEachIteration": False})


def simple_config(values: dict[str, str | bool], name: str = "defaults") -> Element:
    """A Simple Config Element: bare property names."""
    return Element("ConfigTestElement", "SimpleConfigGui", name, dict(values))


def user_variables(values: dict[str, str], name: str = "variables") -> Element:
    """User Defined Variables."""
    items = [element_prop(k, "Argument", Argument__name=k, Argument__value=v, Argument__metadata="=")
             for k, v in values.items()]
    return Element("Arguments", "ArgumentsPanel", name, {"a": collection("Arguments.arguments", *items)})


def response_assertion(text: str, where: str = "Assertion.response_data", kind: int = 2,
                       name: str = "assertion") -> Element:
    """A Response Assertion; kind 2 = contains, 16 = substring, 8 = equals."""
    return Element("ResponseAssertion", "AssertionGui", name, {
        "t": collection("Asserion.test_strings", prop("0", text)), "Assertion.custom_message": "",
        "Assertion.test_field": where, "Assertion.assume_success": False, "Assertion.test_type": kind})


def controller(kind: str, name: str, properties: dict[str, Value] | None = None, *children: Element) -> Element:
    """A logic controller by test class."""
    guis = {"GenericController": "LogicControllerGui", "OnceOnlyController": "OnceOnlyControllerGui",
            "WhileController": "WhileControllerGui", "IfController": "IfControllerPanel",
            "InterleaveControl": "InterleaveControlGui", "TransactionController": "TransactionControllerGui",
            "LoopController": "LoopControlPanel", "IncludeController": "IncludeControllerGui"}
    return Element(kind, guis[kind], name, properties or {}).holding(*children)


def constant_timer(milliseconds: int | str, name: str = "think") -> Element:
    """A Constant Timer."""
    return Element("ConstantTimer", "ConstantTimerGui", name, {"ConstantTimer.delay": str(milliseconds)})


def regex_extractor(variable: str, expression: str, name: str = "extract") -> Element:
    """A Regular Expression Extractor over the body."""
    return Element("RegexExtractor", "RegexExtractorGui", name, {
        "RegexExtractor.useHeaders": "false", "RegexExtractor.refname": variable, "RegexExtractor.regex": expression,
        "RegexExtractor.template": "$1$", "RegexExtractor.default": "none", "RegexExtractor.match_number": "1"})


def json_extractor(variable: str, path: str, name: str = "json") -> Element:
    """A JSON Extractor."""
    return Element("JSONPostProcessor", "JSONPostProcessorGui", name, {
        "JSONPostProcessor.referenceNames": variable, "JSONPostProcessor.jsonPathExprs": path,
        "JSONPostProcessor.match_numbers": "1", "JSONPostProcessor.defaultValues": "none"})


def script(kind: str, text: str, name: str = "script") -> Element:
    """A JSR223 element in Groovy: `kind` is Sampler, PreProcessor, PostProcessor or Assertion."""
    return Element("JSR223" + kind, "TestBeanGUI", name, {
        "scriptLanguage": "groovy", "parameters": "", "filename": "", "cacheKey": "true", "script": text})


# --- the plugin's elements, under the names that old plans carry -----------------------------------------------------

def _plugin(kind: str, name: str, properties: dict[str, Value]) -> Element:
    return Element(SAMPLERS + kind, f"{SAMPLERS}{kind}Gui", name, properties)


def open_connection(name: str = "open", **properties: Value) -> Element:
    """WebSocket Open Connection."""
    return _plugin("OpenWebSocketSampler", name, properties)


def request_response(name: str = "request-response", **properties: Value) -> Element:
    """WebSocket request-response Sampler."""
    return _plugin("RequestResponseWebSocketSampler", name, properties)


def single_read(name: str = "read", **properties: Value) -> Element:
    """WebSocket Single Read Sampler."""
    return _plugin("SingleReadWebSocketSampler", name, properties)


def single_write(name: str = "write", **properties: Value) -> Element:
    """WebSocket Single Write Sampler."""
    return _plugin("SingleWriteWebSocketSampler", name, properties)


def ping_pong(name: str = "ping", **properties: Value) -> Element:
    """WebSocket Ping/Pong."""
    return _plugin("PingPongSampler", name, properties)


def close(name: str = "close", **properties: Value) -> Element:
    """WebSocket Close."""
    return _plugin("CloseWebSocketSampler", name, properties)


def ping_filter(name: str = "ping filter", **properties: Value) -> Element:
    """WebSocket Ping/Pong Frame Filter."""
    return _plugin("PingFrameFilter", name, properties)


def text_filter(name: str = "text filter", **properties: Value) -> Element:
    """WebSocket Text Frame Filter."""
    return _plugin("TextFrameFilter", name, properties)


def binary_filter(name: str = "binary filter", **properties: Value) -> Element:
    """WebSocket Binary Frame Filter."""
    return _plugin("BinaryFrameFilter", name, properties)


def binary_assertion(name: str = "binary assertion", **properties: Value) -> Element:
    """Binary Response Assertion."""
    return Element("eu.luminis.jmeter.assertions.BinaryContentAssertion",
                   "eu.luminis.jmeter.assertions.BinaryContentAssertionGUI", name, properties)
