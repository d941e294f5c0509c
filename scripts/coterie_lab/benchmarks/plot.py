# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A plot of times against lengths, both axes logarithmic, as SVG that reads well on light and on dark pages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 46, 56
_LABEL_DISTANCE = 16
_COLOURS: Final = ("#3b7dd8", "#d9662c", "#2f9e6e", "#a05cc0", "#c9a227", "#c8415b", "#4aa8b5", "#8a8f98")
"""Bright enough for a dark page, dark enough for a light one."""

_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.grid { stroke: #8c959f; stroke-opacity: 0.3; }
.axis { stroke: #57606a; }
path.line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #d7dde3; } .axis { stroke: #9aa4af; } }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a name and its points (values, ms), all above 0."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


class _Scale:
    """Maps decades to pixels."""

    def __init__(self, numbers: Sequence[float], first: float, last: float) -> None:
        self.low = math.floor(math.log10(min(numbers)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(numbers))))
        self._first, self._last = first, last

    def at(self, number: float) -> float:
        part = (math.log10(number) - self.low) / (self.high - self.low)
        return self._first + part * (self._last - self._first)

    @property
    def decades(self) -> range:
        return range(self.low, self.high + 1)


def draw(title: str, series: Sequence[Series]) -> str:
    """Return the SVG; series without points are left out. At least one must have some."""
    drawn = [one for one in series if one.points]
    points = [point for one in drawn for point in one.points]
    across = _Scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    up = _Scale([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="24">{escape(title)}</text>',
        *_grid(across, up),
    ]
    heights = _spread([up.at(one.points[-1][1]) for one in drawn])
    for number, (one, height) in enumerate(zip(drawn, heights, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        steps = " L".join(f"{across.at(x):.1f} {up.at(y):.1f}" for x, y in one.points)
        dashes = ' stroke-dasharray="6 4"' if one.dashed else ""
        parts.append(f'<path class="line" stroke="{colour}"{dashes} d="M{steps}"/>')
        parts += [f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3" fill="{colour}"/>' for x, y in one.points]
        parts.append(f'<circle cx="{_WIDTH - _RIGHT + 16}" cy="{height:.1f}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 26}" y="{height + 4:.1f}">{escape(one.name)}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def _grid(across: _Scale, up: _Scale) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    lines = []
    for decade in across.decades:
        x = across.at(10.0**decade)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(
            f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">10<tspan dy="-5" font-size="9">{decade}</tspan>'
            "</text>"
        )
    for decade in up.decades:
        y = up.at(10.0**decade)
        lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>')
    lines.append(f'<path class="axis" fill="none" d="M{_LEFT} {_TOP} V{bottom} H{right}"/>')
    lines.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 14}" text-anchor="middle">values of the vector</text>')
    lines.append(f'<text x="{_LEFT - 8}" y="{_TOP - 8}" text-anchor="end">ms</text>')
    return lines


def _spread(heights: Sequence[float]) -> list[float]:
    """Move labels apart, so that none covers another; their order stays."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=lambda number: heights[number])
    for before, after in itertools.pairwise(order):
        placed[after] = max(placed[after], placed[before] + _LABEL_DISTANCE)
    overflow = max(0.0, max(placed) - (_HEIGHT - _BOTTOM))
    return [height - overflow for height in placed]
