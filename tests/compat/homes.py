"""The JMETER_HOMEs that are compared: one with the original plugin, one with ours, one with both.

The original (`net.luminis.jmeter:jmeter-websocket-samplers`, LGPL-3.0) is fetched from Maven Central as a
running peer only: it lives in a JMETER_HOME of its own under `target/compat` and is never opened or shipped.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target" / "compat"
OURS = Path(os.environ.get("WEBRTC_JMETER_HOME", ROOT / "target" / "jmeter"))
ORIGINAL_GROUP = "net.luminis.jmeter"
ORIGINAL_ARTIFACT = "jmeter-websocket-samplers"
ORIGINAL_VERSIONS = ("1.3.2", "1.3.1")
"""Newest first; the first one that the configured Maven repositories serve is the peer. Maven Central has no 1.3.2."""
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


class HomeError(RuntimeError):
    """A JMETER_HOME cannot be assembled; the text says what to do."""


@dataclass(frozen=True)
class Home:
    """A complete JMETER_HOME and the name of what it proves."""

    name: str
    path: Path

    @property
    def launcher(self) -> Path:
        """The jar that `java -jar` starts."""
        return self.path / "bin" / "ApacheJMeter.jar"


def ours() -> Home:
    """The home that `make jmeter` leaves (`WEBRTC_JMETER_HOME`, else `target/jmeter`): both our jars, not the original."""
    if not (OURS / "bin" / "ApacheJMeter.jar").is_file():
        raise HomeError(f"{OURS} is missing: run `make jmeter` first")
    for pattern in ("jmeter-webrtc-[0-9]*.jar", "jmeter-webrtc-dropin-*.jar"):
        if not list((OURS / "lib" / "ext").glob(pattern)):
            raise HomeError(f"{OURS}/lib/ext has no {pattern}: run `make jmeter`")
    return Home("ours", OURS)


def original() -> tuple[Home, str]:
    """A home with the original plugin alone, and the version of it."""
    jar, version = original_jar()
    return _derived("original", f"original-{version}", [jar]), version


def ours_and_original(upgrades: str = "") -> Home:
    """Our home with the original jar beside ours, as the Plugins Manager leaves it.

    `upgrades` are lines at the end of its `bin/upgrade.properties`; a home with such lines is one of its own.
    """
    jar, version = original_jar()
    mine = sorted((ours().path / "lib" / "ext").glob("jmeter-webrtc-*.jar"))
    home = _derived("both", f"both{'-upgraded' if upgrades else ''}-{version}", [*mine, jar])
    if upgrades:
        properties = (_base() / "bin" / "upgrade.properties").read_text(encoding="utf8")
        (home.path / "bin" / "upgrade.properties").write_text(f"{properties}\n{upgrades}\n", encoding="utf8")
    return home


def ours_without_dropin() -> Home:
    """Our home without the name mapping, as on a worker that has only the main jar."""
    mine = [j for j in sorted((ours().path / "lib" / "ext").glob("jmeter-webrtc-*.jar")) if "-dropin-" not in j.name]
    return _derived("worker", "worker", mine)


def ours_with_parallel_controller() -> Home:
    """Our home with the bzm Parallel Controller (Apache-2.0); 0.12 is the first version that runs in JMeter 5.6."""
    mine = sorted((ours().path / "lib" / "ext").glob("jmeter-webrtc-*.jar"))
    jar = TARGET / "parallel" / "jmeter-parallel-0.12.jar"
    if not jar.is_file():
        subprocess.run(["mvn", "-q", "-B", COPY_GOAL, "-Dartifact=com.blazemeter:jmeter-parallel:0.12",
                        f"-DoutputDirectory={jar.parent}"], cwd=ROOT, capture_output=True, timeout=300, check=True)
    return _derived("parallel", "parallel", [*mine, jar])


def original_jar() -> tuple[Path, str]:
    """The original's jar and version; `COMPAT_ORIGINAL=VERSION` pins one version."""
    wanted = os.environ.get("COMPAT_ORIGINAL")
    tried = []
    for version in (wanted,) if wanted else ORIGINAL_VERSIONS:
        jar = TARGET / "original" / f"{ORIGINAL_ARTIFACT}-{version}.jar"
        if jar.is_file():
            return jar, version
        command = ["mvn", "-q", "-B", COPY_GOAL, f"-Dartifact={ORIGINAL_GROUP}:{ORIGINAL_ARTIFACT}:{version}",
                   f"-DoutputDirectory={jar.parent}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        if jar.is_file():
            return jar, version
        tried.append(f"{version}: {(done.stdout + done.stderr).strip().splitlines()[:1]}")
    raise HomeError("the original plugin cannot be fetched from Maven: " + "; ".join(tried))


def _base() -> Path:
    """A bare JMeter: the one of `make jmeter`, less our jars."""
    if (OURS / "bin" / "ApacheJMeter.jar").is_file():
        return OURS
    raise HomeError(f"{OURS} is missing: run `make jmeter` first")


def _derived(name: str, directory: str, jars: list[Path]) -> Home:
    """A home that shares everything with `target/jmeter` by links, except lib/ext, whose jars are its own choice.

    It is made once for one choice of jars, and put in its place whole, so that runs may go on side by side.
    """
    base = _base()
    state = "\n".join(f"{jar.name} {jar.stat().st_mtime_ns} {jar.stat().st_size}" for jar in jars)
    home = TARGET / "homes" / f"{directory}-{hashlib.sha256(state.encode()).hexdigest()[:12]}"
    if home.is_dir():
        return Home(name, home)
    home.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=home.parent))
    (building / "lib" / "ext").mkdir(parents=True)
    (building / "lib" / "junit").mkdir()
    shutil.copytree(base / "bin", building / "bin")
    for library in sorted((base / "lib").glob("*.jar")):
        _link(library, building / "lib" / library.name)
    for module in sorted((base / "lib" / "ext").glob("*.jar")):
        if not module.name.startswith("jmeter-webrtc"):
            _link(module, building / "lib" / "ext" / module.name)
    for jar in jars:
        _link(jar, building / "lib" / "ext" / jar.name)
    try:
        building.rename(home)
    except OSError:
        # Another run was faster.
        shutil.rmtree(building)
    return Home(name, home)


def _link(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)
