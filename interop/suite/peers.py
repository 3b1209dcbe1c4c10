"""Getting the peers ready: an environment with aiortc, Chromium from the system, pion built, and our own two programs.

A peer that cannot be had is not an error here: it carries the reason in `absent`, and each of its cases fails with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from softphones import browser_program

from .cases import OURS

INTEROP = Path(__file__).resolve().parent.parent
REPOSITORY = INTEROP.parent
TARGET = REPOSITORY / "target"
WORK = TARGET / "interop"

#: A cold build of the crate takes minutes on two cores; beyond this something hangs.
BUILD_DEADLINE_S = 1_500


@dataclass(frozen=True)
class Peer:
    """A softphone program: its command without arguments, or why there is none."""

    name: str
    command: tuple[str, ...] = ()
    absent: str | None = None


class Absent(Exception):
    """A program that the suite needs is not there or could not be built; the text names it and the way to get it."""


def lab_program() -> Path:
    """The lab, built."""
    return _cargo_output() / "webrtc-lab"


def lab_version() -> str | None:
    """What the lab says its version is."""
    try:
        said = subprocess.run([lab_program(), "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.strip().removeprefix("webrtc-lab ") or None


def build_ours() -> None:
    """Builds the lab and our softphone in the profile that the tests use."""
    _require("cargo", "install Rust (https://rustup.rs)")
    _build(["cargo", "build", "--locked", "--bin", "webrtc-lab", "--example", "interop_softphone"], REPOSITORY)


def get_ready(name: str) -> Peer:
    """The peer called `name`, set up as far as needed."""
    commands: dict[str, Callable[[], tuple[str, ...]]] = {
        "Chromium": _chromium,
        "aiortc": _aiortc,
        "pion": _pion,
        OURS: lambda: (str(_cargo_output() / "examples" / "interop_softphone"),),
    }
    try:
        return Peer(name, commands[name]())
    except Absent as reason:
        return Peer(name, absent=str(reason))


def _cargo_output() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", TARGET)) / "debug"


def _chromium() -> tuple[str, ...]:
    if browser_program.find() is None:
        raise Absent(browser_program.REMEDY)
    return (str(_python_environment()), "-m", "softphones.chromium_softphone")


def _aiortc() -> tuple[str, ...]:
    return (str(_python_environment()), "-m", "softphones.aiortc_softphone")


def _pion() -> tuple[str, ...]:
    _require("go", "install Go 1.24 or newer (https://go.dev/dl)")
    program = WORK / "pion-softphone"
    _build(["go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o", str(program), "."], INTEROP / "pion")
    return (str(program),)


def _python_environment() -> Path:
    """A Python with exactly `requirements.txt`, made anew when that file or this Python has changed."""
    requirements = INTEROP / "requirements.txt"
    folder = WORK / "venv"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = folder / "requirements.sha256"
    python = folder / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        _build([sys.executable, "-m", "venv", str(folder)], REPOSITORY, "apt-get install python3-venv")
        install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-input"]
        _build([*install, "--require-hashes", "-r", str(requirements)], REPOSITORY)
        stamp.write_text(wanted)
    return python


def _require(program: str, remedy: str) -> None:
    if shutil.which(program) is None:
        raise Absent(f"{program} is not on the path: {remedy}")


def _build(command: list[str], folder: Path, remedy: str = "") -> None:
    """Runs a step of setting up; its output is shown only when it fails."""
    WORK.mkdir(parents=True, exist_ok=True)
    print(f"  {Path(command[0]).name} {' '.join(command[1:3])} …", flush=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        raise Absent(f"'{' '.join(command)}' did not end within {BUILD_DEADLINE_S} s") from None
    except OSError as error:
        raise Absent(f"'{' '.join(command)}' did not start: {error}") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-2_000:]
        raise Absent(f"'{' '.join(command)}' ended with status {done.returncode}{f' ({remedy})' if remedy else ''}:\n{said}")
