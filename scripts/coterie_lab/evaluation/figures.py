# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Figures as SVG: text stays text, and can be read on white and on near black.

The only module that imports matplotlib.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

INK = "#737c86"
"""Readable on white and on near black. A dark style would follow the viewer's system, not the page."""
GRID = "#8b949e"
# From Okabe and Ito's palette, which colour-blind readers can distinguish; each is readable on white and on near black.
STYLES = (
    *(("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "D"), ("#cc79a7", "^")),
    *(("#e69f00", "v"), ("#56b4e9", "P"), ("#8b949e", "X"), ("#7f6fd0", "*")),
)
"""Colour and marker."""


class Stroke(StrEnum):
    """The kind of line that joins the points of a series, as matplotlib names it."""

    SOLID = "-"
    DASHED = "--"
    DOTTED = ":"


@dataclass(frozen=True)
class Line:
    """One series of a figure.

    Attributes:
        label: in the legend.
        x, y: its points.
        error: per point half of the height of its bar; or none.
        stroke: the kind of line.
        style: position in ``STYLES``, the same in every figure for the same thing.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    stroke: Stroke = Stroke.SOLID
    style: int = 0


def draw(
    path: Path,
    lines: Sequence[Line],
    *,
    title: str,
    x: str,
    y: str,
    logarithmic: bool = False,
    diagonal: bool = False,
) -> None:
    """Draw lines into an SVG file.

    Args:
        path: of the file.
        lines: in the order of the legend.
        title: above the figure.
        x, y: names of the axes.
        logarithmic: whether the x axis is.
        diagonal: whether to draw where both axes are equal.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    settings: dict[str, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "coterie",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        for line in lines:
            colour, marker = STYLES[line.style % len(STYLES)]
            axes.errorbar(
                line.x,
                line.y,
                yerr=line.error,
                label=line.label,
                color=colour,
                linestyle=line.stroke.value,
                marker=marker if len(line.x) <= 40 else None,
                markersize=4,
                linewidth=1.4,
                capsize=2,
            )
        if diagonal:
            axes.plot([0, 1], [0, 1], transform=axes.transAxes, color=GRID, linewidth=0.8, linestyle=":")
        if logarithmic:
            axes.set_xscale("log")
            ticks = sorted({value for line in lines for value in line.x})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        elif all(float(value).is_integer() for line in lines for value in line.x):
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(color=GRID, alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
        figure.savefig(path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    path.write_text(_tidied(path.read_text()))


def _tidied(svg: str) -> str:
    """Drop the metadata on the drawing program, and blanks at the ends of lines."""
    return re.sub(r"[ \t]+\n", "\n", re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S))
