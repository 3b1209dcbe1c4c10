"""JMeter's own listeners for plans, and how to read what they wrote."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import SubElement

from tests.jmeter.plans import Node, node, put
from tests.jmeter.runs import JMETER_HOME


@dataclass(frozen=True)
class Counts:
    """Samples and failed samples, as one place shows them."""

    samples: int
    errors: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.samples + other.samples, self.errors + other.errors)


def debug_sampler(name: str = "debug") -> Node:
    """A Debug Sampler, which knows nothing of us."""
    item = node("DebugSampler", "TestBeanGUI", name)
    return Node(put(item.element, displayJMeterProperties=False, displayJMeterVariables=False, displaySystemProperties=False))


def data_writer(path: Path, xml: bool, response_data: bool = False) -> Node:
    """A Simple Data Writer that saves all samples as XML or CSV; in XML with their response data, if wanted."""
    item = node("ResultCollector", "SimpleDataWriter", f"to {path.name}", filename=path)
    put(item.element, ResultCollector__error_logging=False)
    settings = SubElement(SubElement(item.element, "objProp"), "name")
    settings.text = "saveConfig"
    value = SubElement(item.element.find("objProp"), "value", {"class": "SampleSaveConfiguration"})
    for name in (
        "time latency timestamp success label code message threadName dataType assertions subresults fieldNames sentBytes bytes"
        " connectTime threadCounts responseHeaders"
    ).split():
        SubElement(value, name).text = "true"
    SubElement(value, "responseData").text = str(response_data).lower()
    for name in "encoding samplerData requestHeaders responseDataOnError saveAssertionResultsFailureMessage".split():
        SubElement(value, name).text = "false"
    SubElement(value, "xml").text = str(xml).lower()
    return item


def backend_listener(url: str) -> Node:
    """A Backend Listener that writes to an InfluxDB."""
    item = node("BackendListener", "BackendListenerGui", "influx")
    arguments = SubElement(
        item.element,
        "elementProp",
        name="arguments",
        elementType="Arguments",
        guiclass="ArgumentsPanel",
        testclass="Arguments",
    )
    collection = SubElement(arguments, "collectionProp", name="Arguments.arguments")
    sender = "org.apache.jmeter.visualizers.backend.influxdb.HttpMetricsSender"
    for name, text in {
        "influxdbMetricsSender": sender,
        "influxdbUrl": url,
        "application": "test",
        "measurement": "jmeter",
        "summaryOnly": "false",
        "samplersRegex": ".*",
        "percentiles": "95",
        "testTitle": "test",
    }.items():
        argument = SubElement(collection, "elementProp", name=name, elementType="Argument")
        put(argument, Argument__name=name, Argument__value=text, Argument__metadata="=")
    client = "org.apache.jmeter.visualizers.backend.influxdb.InfluxdbBackendListenerClient"
    put(item.element, classname=client)
    return item


def csv_counts(rows: list[dict[str, str]]) -> Counts:
    """Of the rows of a JTL in CSV."""
    return Counts(len(rows), sum(row["success"] != "true" for row in rows))


def xml_samples(path: Path) -> list[ElementTree.Element]:
    """The samples of a JTL in XML, without sub-results."""
    return [item for item in ElementTree.parse(path).getroot() if item.tag in ("sample", "httpSample")]


def xml_counts(path: Path) -> Counts:
    """Of a JTL in XML."""
    samples = xml_samples(path)
    return Counts(len(samples), sum(sample.get("s") != "true" for sample in samples))


def summariser_counts(output: list[str]) -> Counts:
    """Of the summariser's last line with totals."""
    totals = [line for line in output if line.startswith("summary = ")]
    found = re.search(r"summary = +(\d+) in .* Err: +(\d+) ", totals[-1]) if totals else None
    assert found, output
    return Counts(int(found.group(1)), int(found.group(2)))


def dashboard_counts(report: Path) -> Counts:
    """Of the statistics of an HTML report."""
    total = json.loads((report / "statistics.json").read_text(encoding="utf-8"))["Total"]
    return Counts(total["sampleCount"], total["errorCount"])


def generate_report(results: Path, report: Path, *arguments: str) -> str:
    """`jmeter -g`: makes the HTML report of a JTL in a process of its own, and returns what it said."""
    command = [str(JMETER_HOME / "bin/jmeter"), "-g", str(results), "-o", str(report), "-j", str(report.with_suffix(".log"))]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr


def error_messages(report: Path) -> list[str]:
    """The first cells of the error table of an HTML report: code and message."""
    dashboard = (report / "content/js/dashboard.js").read_text(encoding="utf-8")
    table = re.search(r'createTable\(\$\("#errorsTable"\), (\{.*?\}), function', dashboard, re.DOTALL)
    assert table, "the report has no error table"
    return [item["data"][0] for item in json.loads(table.group(1))["items"]]


def graph_series(report: Path, graph: str) -> list[str]:
    """The series of a graph of ours in an HTML report; empty when the report has no such graph."""
    script = (report / "content/js/customGraph.js").read_text(encoding="utf-8")
    found = re.search(rf"var responsecustom_webrtc{graph}Infos = \{{\n    data: (\{{.*\}}),\n", script)
    if not found:
        return []
    return [series["label"] for series in json.loads(found.group(1))["result"]["series"]]
