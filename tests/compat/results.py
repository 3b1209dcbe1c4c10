"""Samples of an XML result file as plain values, and the comparison of two runs.

Compared are the fields of `golden/compare.py` (success, code, message, received and sent bytes, data type, response
text, sampler data, sub-results), and beyond them labels, both header blocks, encoding, URL, assertion results and
whether there was a connect time and a latency. Durations are not compared.
"""
from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

CONTROL = re.compile(r"&#x([0-9a-fA-F]{1,2});|&#([0-9]{1,2});")
ACCEPT = re.compile(r"(?i)(sec-websocket-accept: )[A-Za-z0-9+/=]+")
Sample = dict[str, object]


def read(path: Path) -> list[Sample]:
    """Every top-level sample in file order."""
    text = path.read_text(encoding="utf8", errors="replace")
    return [_sample(e) for e in ET.fromstring(CONTROL.sub(_visible, text)) if e.tag in ("sample", "httpSample")]


def by_thread(samples: list[Sample]) -> dict[str, list[Sample]]:
    """Samples of each thread, in order."""
    threads: dict[str, list[Sample]] = {}
    for sample in samples:
        threads.setdefault(str(sample["thread"]), []).append(sample)
    return threads


def differences(want: list[Sample], got: list[Sample], ignored: frozenset[str] = frozenset()) -> list[str]:
    """One line per difference between two threads' samples; empty when they are equal."""
    lines = []
    for i in range(max(len(want), len(got))):
        if i >= len(got) or i >= len(want):
            only, sample = ("original", want[i]) if i >= len(got) else ("ours", got[i])
            lines.append(f"#{i + 1} '{sample['label']}': only in {only}")
            continue
        for field in want[i]:
            if field not in ignored and want[i][field] != got[i].get(field):
                lines.append(f"#{i + 1} '{want[i]['label']}' {field}: want {_cut(want[i][field])}, "
                             f"got {_cut(got[i].get(field))}")
    return lines


def _sample(e: ET.Element) -> Sample:
    return {
        "thread": e.get("tn", ""),
        "label": e.get("lb"),
        "success": e.get("s") == "true",
        "code": e.get("rc"),
        "message": e.get("rm"),
        "bytes": int(e.get("by", "0")),
        "sentBytes": int(e.get("sby", "0")),
        "dataType": e.get("dt") or "",
        "encoding": e.get("de") or "",
        "data": _text(e, "responseData"),
        "samplerData": _text(e, "samplerData"),
        "requestHeaders": _text(e, "requestHeader"),
        "responseHeaders": ACCEPT.sub(r"\1…", _text(e, "responseHeader")),
        "url": _text(e, "java.net.URL"),
        "hasLatency": e.get("lt", "0") != "0",
        "assertions": [{c.tag: c.text or "" for c in a} for a in e.findall("assertionResult")],
        "sub": [{k: v for k, v in _sample(s).items() if k != "thread"} for s in e.findall("sample")],
    }


def _text(e: ET.Element, tag: str) -> str:
    return e.findtext(tag) or ""


def _visible(match: re.Match[str]) -> str:
    code = int(match.group(1), 16) if match.group(1) else int(match.group(2))
    return match.group(0) if code in (9, 10, 13) or code >= 32 else f"[0x{code:02x}]"


def _cut(value: object, width: int = 220) -> str:
    text = repr(value)
    return text if len(text) <= width else text[:width] + "…"
