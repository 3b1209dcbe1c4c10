"""Existing plans in the GUI: every field is shown, and saving changes nothing but class names; no native library is needed."""
from __future__ import annotations

import re
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.compat import homes, jmx, panels
from tests.compat.jmx import Element

DIRECTORY = homes.TARGET / "panels"
OLD = re.compile(r"\beu\.luminis\.jmeter\.(wssampler|assertions)\.(?=\w)")
NEW = "io.github.jmeterwebrtc.jmeter.dropin."
SERVER: dict[str, jmx.Value] = {"TLS": True, "server": "host.example", "port": "${port}", "path": "/a?b=<c>&d=\"é\"",
                                "connectTimeout": "12345", "readTimeout": "54321", "connectionId": "${id}"}
REQUEST: dict[str, jmx.Value] = {"createNewConnection": True, "payloadType": "TextStomp", "requestData": "SEND\nto:é\n\n^@  end ",
                                 "binaryPayload": True, "loadDataFromFile": True, "dataFile": "data/${file}.bin"}


def filled() -> list[Element]:
    """Every element of the plugin, with a value in each property that no other has by default."""
    elements = [
        jmx.open_connection("an open", **SERVER),
        jmx.request_response("a request", **SERVER, **REQUEST | {"createNewConnection": False}),
        jmx.single_read("a read", **SERVER, createNewConnection=True, dataType="Any", optional=True, binaryPayload=True),
        # Single Write has no read timeout, as it reads nothing.
        jmx.single_write("a write", **{k: v for k, v in SERVER.items() if k != "readTimeout"}, **REQUEST),
        jmx.ping_pong("a pong", type="Pong", readTimeout="54321", connectionId="${id}"),
        jmx.close("a close", statusCode="4321", readTimeout="54321", connectionId="${id}"),
        jmx.ping_filter("a ping filter", filterType="FilterPongOnly", replyToPing=True),
        jmx.text_filter("a text filter", comparisonType="NotEqualsRegex", matchValue="a|b &amp; \\d+"),
        jmx.binary_filter("a binary filter", comparisonType="NotContains", matchValue="0x01 02", matchPosition="17"),
        jmx.binary_assertion("a binary assertion", comparisonType="NotStartsWith", compareValue="ca fe"),
        Element(jmx.SAMPLERS + "AdvancedOptionsElement", jmx.SAMPLERS + "AdvancedOptionsGUI", "advanced options",
                {"enableMultipleConnectionsPerThread": True}),
    ]
    for element in elements:
        element.properties["TestPlan.comments"] = f"comment on {element.name}"
    elements[1].enabled = False
    return elements


def sparse() -> list[Element]:
    """The same elements as versions before 1.2 wrote them: what is as by default was left out, save what a constructor sets."""
    written = {"an open": {"server"}, "a request": {"server", "createNewConnection"}, "a read": {"server"}, "a write": {"server"}}
    return [Element(e.test, e.gui, e.name, {k: v for k, v in e.properties.items() if k in written.get(e.name, ())})
            for e in filled()]


def very_old() -> list[Element]:
    """Elements as the first versions wrote them, with numbers as such, and with flags that somebody has put a variable into."""
    address: dict[str, jmx.Value] = {"server": "host.example", "port": 8443, "connectTimeout": 12345, "readTimeout": 54321, "TLS": "${tls}"}
    return [
        jmx.open_connection("an open", **address),
        jmx.request_response("a request", **address, createNewConnection="${new}", requestData="x", loadDataFromFile="${file}"),
        jmx.single_read("a read", **address, createNewConnection="${new}", optional="${optional}"),
        jmx.single_write("a write", server="host.example", port=80, TLS="${tls}", requestData="x"),
        jmx.ping_pong("a ping", readTimeout=54321), jmx.close("a close", readTimeout=54321, statusCode=4321),
        jmx.ping_filter("a ping filter", replyToPing="${reply}"),
    ]


class PanelsTest(unittest.TestCase):
    """In JMeter itself on a screen of Xvfb where there is one; by JMeter's tree and panels without a window in any case."""

    def test_a_plan_with_every_property_filled_is_shown_and_saved_as_it_is(self) -> None:
        for screen in self._screens():
            with self.subTest(screen=screen):
                plan = self._write("filled", filled(), screen)
                before = ET.parse(plan)
                shown = {p.name: p for p in panels.open_and_save(homes.ours(), plan, screen)}
                for element in filled():
                    panel = shown[element.name]
                    self.assertEqual(panel.element, NEW + element.test.rpartition(".")[2])
                    self.assertEqual(panel.comment, element.properties["TestPlan.comments"])
                    self.assertEqual(panel.on_screen, screen)
                    self._assert_shows(element, panel)
                self.assertEqual(_described(ET.parse(plan)), _described(before))
                self._assert_stays_the_same(plan, screen)

    def test_a_plan_of_an_old_version_is_saved_without_additions(self) -> None:
        for screen in self._screens():
            with self.subTest(screen=screen):
                plan = self._write("sparse", sparse(), screen)
                before = ET.parse(plan)
                panels.open_and_save(homes.ours(), plan, screen)
                self.assertEqual(_described(ET.parse(plan)), _described(before))

    def test_numbers_and_flags_of_very_old_plans_are_shown_and_keep_their_kind(self) -> None:
        for screen in self._screens():
            with self.subTest(screen=screen):
                plan = self._write("very-old", very_old(), screen)
                before = ET.parse(plan)
                shown = {p.name: p.fields for p in panels.open_and_save(homes.ours(), plan, screen)}
                self.assertEqual([shown["an open"][key] for key in ("port", "connectTimeout", "readTimeout")], ["8443", "12345", "54321"])
                self.assertEqual(_described(ET.parse(plan)), _described(before))

    def _assert_shows(self, element: Element, panel: panels.Panel) -> None:
        # Payload types have their own property since 1.2.9 and 1.2.8; the older one has no say, and no field, beside it.
        unseen = {"TestPlan.comments", "binaryPayload"}
        for key, value in element.properties.items():
            if key not in unseen:
                want = str(value).lower() if isinstance(value, bool) else value
                self.assertEqual(panel.fields.get(key), want, f"{element.name}: {key}")

    def _assert_stays_the_same(self, plan: Path, screen: bool) -> None:
        saved = plan.read_bytes()
        again = plan.with_name("again.jmx")
        again.write_bytes(saved)
        panels.open_and_save(homes.ours(), again, screen)
        self.assertEqual(again.read_bytes(), saved)
        self.assertIsNone(OLD.search(saved.decode()))

    @staticmethod
    def _screens() -> list[bool]:
        return [True, False] if panels.has_screen() else [False]

    @staticmethod
    def _write(name: str, elements: list[Element], screen: bool) -> Path:
        directory = DIRECTORY / f"{name}-{'screen' if screen else 'headless'}"
        return jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.thread_group("group", *elements)))


def _described(plan: ET.ElementTree) -> list[tuple[str, dict[str, str], dict[str, tuple[str, str]]]]:
    """The plugin's elements in order: tag, attributes and properties, with class names as they are now."""
    described = []
    for element in plan.iter():
        tag = OLD.sub(NEW, element.tag)
        if tag.startswith(NEW):
            properties = {child.get("name", ""): (child.tag, child.text or "") for child in element}
            # JMeter itself leaves out that an element is enabled.
            attributes = {"enabled": "true"} | {k: OLD.sub(NEW, v) for k, v in element.attrib.items()}
            described.append((tag, attributes, properties))
    return described


if __name__ == "__main__":
    unittest.main()
