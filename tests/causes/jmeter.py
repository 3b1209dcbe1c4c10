"""A JMeter inside a namespace: one plan, run to its end, and its results."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from demo.summary import Row, read_results
from tests.causes.namespaces import Namespace
from tests.causes.programs import ROOT, Program, ProgramError
from tests.jmeter.plans import Node, write_plan
from tests.jmeter.runs import JMETER_HOME

#: From JMeter's "Tidying up" to the end of its process.
EXIT_S = 10


async def run_plan(namespace: Namespace, folder: Path, *children: Node, seconds: float = 60, resolving: bool = False, **properties: Any) -> list[Row]:
    """Runs a plan with these elements and gives the rows of its JTL."""
    plan, results, log = write_plan(folder / "plan.jmx", *children), folder / "results.jtl", folder / "jmeter.log"
    command = [str(JMETER_HOME / "bin/jmeter"), "-n", "-t", str(plan), "-l", str(results), "-j", str(log)]
    command += [f"-J{name.replace('__', '.')}={value}" for name, value in properties.items()]
    environment = {"HEAP": "-Xms64m -Xmx512m", "JVM_ARGS": "-Djava.awt.headless=true"}
    async with Program(*namespace.entered(*command, resolving=resolving), environment=environment) as jmeter:
        try:
            await asyncio.wait_for(jmeter.lines(seconds + EXIT_S), seconds + EXIT_S)
        except (TimeoutError, ProgramError):
            raise ProgramError(f"JMeter was not through after {seconds:g} s: {jmeter.said}") from None
    if not results.exists():
        raise ProgramError(f"JMeter wrote no results: {jmeter.said}")
    return read_results(results)
