"""Plans opened, shown and saved by JMeter's GUI: on a screen of Xvfb, or by its panels alone where there is none."""
from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.compat.homes import Home

PROGRAM = Path(__file__).resolve().parent / "PlanPanels.java"
MARK = "PANELS "
DEADLINE = 300
"""Of one JMeter, s."""
SCREEN_WITHIN = 60


class PanelsFailed(RuntimeError):
    """The GUI did not come to the end; the text carries its output."""


@dataclass(frozen=True)
class Panel:
    """What the panel of one element shows."""

    element: str
    """Class of the element."""
    name: str
    comment: str
    on_screen: bool
    fields: dict[str, str]
    """Texts, choices, and `true` or `false` of check boxes, by property."""


def has_screen() -> bool:
    """Whether there is an Xvfb, and a JDK that can draw on it."""
    java = shutil.which("java")
    return bool(java and shutil.which("Xvfb")
                and (Path(java).resolve().parent.parent / "lib" / "libawt_xawt.so").is_file())


def open_and_save(home: Home, plan: Path, screen: bool) -> list[Panel]:
    """Opens a plan, looks at every element, and saves the plan over itself; there is no native library."""
    log = plan.with_suffix(".log")
    log.unlink(missing_ok=True)
    jars = ":".join(f"{home.path}/{folder}/*" for folder in ("bin", "lib", "lib/ext"))
    with ExitStack() as stack:
        environment = dict(os.environ)
        if screen:
            environment["DISPLAY"] = stack.enter_context(Screen()).display
        # The user's own preferences have no say in this.
        preferences = stack.enter_context(tempfile.TemporaryDirectory())
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.awt.headless={str(not screen).lower()}",
                   f"-Djava.util.prefs.userRoot={preferences}", "-Dwebrtc.native.path=/nonexistent/libjmeter_webrtc.so",
                   f"-Djmeter.home={home.path}", "-cp", jars, str(PROGRAM), str(home.path), str(plan), str(log)]
        try:
            done = subprocess.run(command, cwd=plan.parent, env=environment, capture_output=True, text=True, timeout=DEADLINE,
                                  check=False)
        except subprocess.TimeoutExpired as late:
            raise PanelsFailed(f"still running after {DEADLINE} s: {late.stderr!r}") from late
    found = [line[len(MARK):] for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not found:
        raise PanelsFailed(f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return [Panel(p["class"], p["name"], p["comment"], p["onScreen"], p["fields"]) for p in json.loads(found[0])]


class Screen:
    """An Xvfb of its own number; a context manager that yields itself."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading) as number:
            self._process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
                pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.close(writing)
            ready, _, _ = select.select([number], [], [], SCREEN_WITHIN)
            self.display = ":" + (number.readline().strip() if ready else "")
        if self.display == ":":
            self._process.kill()
            raise PanelsFailed(f"Xvfb did not start within {SCREEN_WITHIN} s: exit code {self._process.wait(10)}")

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
