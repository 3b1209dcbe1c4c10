#!/usr/bin/env python3
"""Writes the third-party notices of the native library.

Reads the crates that are linked into it from `cargo metadata` (no network: the sources are in cargo's own
cache after a build), and writes one text file with every crate, its licence and the licence texts, equal
texts once. Fails when a crate's licence asks for a text which the crate does not carry, or when its licence
is none of those we may redistribute under.

Usage: third_party_notices.py OUTPUT
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: Licences whose terms are met by reproducing their text (SPDX identifiers).
ACCEPTED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}

TEXT_NAME = re.compile(r"^(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)


def host_platform() -> str:
    """The target triple that cargo builds for by default."""
    output = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True, timeout=60).stdout
    return next(line.split(": ", 1)[1] for line in output.splitlines() if line.startswith("host: "))


def read_metadata(root: Path) -> dict[str, Any]:
    """The resolved crate graph of the workspace at `root`, for the platform built on."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host_platform()]
    for attempt in ([*command, "--offline"], command):
        done = subprocess.run(attempt, cwd=root, capture_output=True, text=True, timeout=300)
        if done.returncode == 0:
            return json.loads(done.stdout)
    raise SystemExit(f"third_party_notices: cargo metadata failed:\n{done.stderr}")


def linked_crates(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The crates reachable from our own by normal dependencies, sorted by name: what the library contains."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    pending, seen = [metadata["resolve"]["root"]], set()
    while pending:
        crate = pending.pop()
        if crate in seen:
            continue
        seen.add(crate)
        for dependency in nodes[crate]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                pending.append(dependency["pkg"])
    crates = [package for package in metadata["packages"] if package["id"] in seen and package["source"]]
    return sorted(crates, key=lambda package: (package["name"], package["version"]))


def accepted(expression: str) -> bool:
    """Whether an SPDX expression can be met with licences in `ACCEPTED` (`/` is an old spelling of OR)."""
    tokens = re.findall(r"[()]|\bAND\b|\bOR\b|(?:[^\s()]+(?:\s+WITH\s+[^\s()]+)?)", expression.replace("/", " OR "))

    def alternatives() -> bool:
        met = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = conjunction() or met
        return met

    def conjunction() -> bool:
        met = licence()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = licence() and met
        return met

    def licence() -> bool:
        token = tokens.pop(0)
        if token != "(":
            return token in ACCEPTED
        met = alternatives()
        if tokens.pop(0) != ")":
            raise ValueError(expression)
        return met

    try:
        return alternatives() and not tokens
    except (IndexError, ValueError):
        return False


def licence_texts(crate: dict[str, Any]) -> list[str]:
    """The licence and notice files that a crate carries."""
    folder = Path(crate["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and TEXT_NAME.match(path.name))
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in files]


def notices(crates: list[dict[str, Any]]) -> str:
    """The whole text; exits with a sentence when a crate cannot be redistributed with it."""
    problems: list[str] = []
    numbers: dict[str, int] = {}
    texts: list[str] = []
    lines = [
        "Third-party crates in the native library of jmeter-webrtc",
        "=========================================================",
        "",
        "Each line: crate, version, licence (SPDX), source, and the numbers of its texts below. Where a choice of",
        "licences includes Apache-2.0 and no text is named, the crate is used under Apache-2.0: see LICENSE.",
        "",
    ]
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        expression = crate["license"] or ""
        if not accepted(expression):
            problems.append(f"{name}: licence {expression or 'missing'!r} is not accepted")
        found = []
        for text in licence_texts(crate):
            digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            if digest not in numbers:
                texts.append(text)
                numbers[digest] = len(texts)
            found.append(f"[{numbers[digest]}]")
        if not found and "Apache-2.0" not in expression:
            problems.append(f"{name}: {expression} asks for its text and the crate carries none")
        lines.append(f"{name} · {expression} · {crate['repository'] or 'crates.io'} {' '.join(found)}".rstrip())
    if problems:
        raise SystemExit("third_party_notices:\n  " + "\n  ".join(problems))
    for number, text in enumerate(texts, 1):
        lines += ["", "-" * 100, f"[{number}]", "", text]
    return "\n".join(lines) + "\n"


def write_if_changed(path: Path, text: str) -> None:
    """Replaces the file in one step, and only when its content differs (so that nothing is rebuilt for it)."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(__file__).resolve().parent.parent
    write_if_changed(Path(arguments[0]), notices(linked_crates(read_metadata(root))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
