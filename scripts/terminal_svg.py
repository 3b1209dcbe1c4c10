#!/usr/bin/env python3
"""Draws the text of a terminal as SVG: the picture of a run in the README.

Usage: make demo | tee /dev/stderr | scripts/terminal_svg.py 'make demo' > docs/run.svg
"""

from __future__ import annotations

import sys
from xml.sax.saxutils import escape

CELL_WIDTH, LINE_HEIGHT, MARGIN, BAR = 7.9, 18, 18, 34
BACKGROUND, BAR_COLOUR, TEXT, DIM, GOOD, BAD = "#12161c", "#1c222b", "#d5dbe3", "#7f8a99", "#7bd88f", "#ff6b7a"


def colour(line: str) -> str:
    """The colour of a line: what matters stands out."""
    if "FAILED" in line:
        return BAD
    if line.startswith("$") or "accounted for" in line:
        return GOOD
    return DIM if line.startswith("WebRTC ") else TEXT


def svg(command: str, text: str) -> str:
    """The picture: a window with the command that was typed and everything it printed."""
    lines = [f"$ {command}", *text.rstrip().split("\n")]
    width = round(max(len(line) for line in lines) * CELL_WIDTH + 2 * MARGIN)
    height = BAR + len(lines) * LINE_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        f'<path d="M0 {BAR}V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V{BAR}z" fill="{BAR_COLOUR}"/>',
        *(f'<circle cx="{20 + 18 * n}" cy="{BAR // 2}" r="5" fill="{DIM}"/>' for n in range(3)),
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="13"'
        ' xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        y = BAR + MARGIN + number * LINE_HEIGHT + 12
        length = f' textLength="{len(line) * CELL_WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"' if line else ""
        parts.append(f'<text x="{MARGIN}" y="{y}" fill="{colour(line)}"{length}>{escape(line)}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    sys.stdout.write(svg(arguments[0], sys.stdin.read()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
