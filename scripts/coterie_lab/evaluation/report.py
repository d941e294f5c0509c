# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""From committed numbers to figures and to the tables of docs/evaluation.md.

Each table is in the document between two comments that name it, and is rewritten in place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from scipy.stats import t

from coterie.simulation.method import Method
from coterie_lab.evaluation.attack_report import draw_membership, leak_table, membership_table
from coterie_lab.evaluation.cost.rows import CostRow
from coterie_lab.evaluation.cost.table import cost_table
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.daemons import RealRun
from coterie_lab.evaluation.defaults_report import default_tables
from coterie_lab.evaluation.figures import Line, Stroke, draw
from coterie_lab.evaluation.noise import read_ledger
from coterie_lab.evaluation.points import FULL, Grid, Point, Sweep, default_bound, few
from coterie_lab.evaluation.rows import Row
from coterie_lab.evaluation.scale import scale_table
from coterie_lab.evaluation.widths import width_table
from coterie_lab.evaluation.workloads import ROOT

DOCUMENT = ROOT / "docs" / "evaluation.md"
RESULTS = ROOT / "docs" / "evaluation"

WAYS = {
    Method.DISTRIBUTED: ("all present", Stroke.SOLID),
    Method.WORST_CASE: ("no spare rounds", Stroke.DASHED),
}
"""How this system divides the noise: same colour, another stroke."""
NAMES = {
    Method.NONE: "no privacy",
    Method.CURATOR: "trusted curator",
    Method.LOCAL: "local noise",
    Method.ALONE: "each party alone, no privacy",
    Method.MAJORITY: "most frequent class",
    Method.UNIFORM: "random class",
}
TITLES = {
    "tree": "Decision tree on Nursery",
    "svm": "Support vector machine on a substitute for Gisette",
    "cnn": "Convolutional network on MNIST",
}

Rows = dict[Point, Row]


def rows_of(grid: Grid) -> Rows:
    """Read the committed rows of a grid, by point; those that were not measured are missing."""
    found = {
        (row.method, row.parties, row.epsilon, row.corruption_bound): row
        for row in read_csv(RESULTS / f"{grid.model}.csv", Row)
    }
    points = {
        point: (
            point.method.value,
            point.parties,
            None if point.epsilon is None else float(point.epsilon),
            point.corruption_bound,
        )
        for point in grid.all_points()
    }
    return {point: found[key] for point, key in points.items() if key in found}


def draw_figures(names: Sequence[str]) -> None:
    """Draw every figure of these kinds of models from the committed rows."""
    for name in names:
        grid, rows = FULL[name], rows_of(FULL[name])
        title = TITLES[name]
        draw(
            RESULTS / f"{name}-parties.svg",
            _curves(grid, rows, Sweep.PARTIES),
            title=f"{title}, ε = {grid.epsilon}",
            x="parties",
            y="weighted F1",
        )
        draw(
            RESULTS / f"{name}-epsilon.svg",
            _curves(grid, rows, Sweep.EPSILON),
            title=f"{title}, {grid.fixed_parties} parties",
            x="ε",
            y="weighted F1",
            logarithmic=True,
        )
        if grid.bounds:
            draw(
                RESULTS / f"{name}-corruption.svg",
                _curves(grid, rows, Sweep.CORRUPTION),
                title=f"{title}, {grid.bound_parties} parties, ε = {grid.epsilon}",
                x="corruption bound",
                y="weighted F1",
            )


def _curves(grid: Grid, rows: Rows, sweep: Sweep) -> list[Line]:
    """Return the lines of a figure: guesses would squeeze everything of interest into its upper edge."""
    guesses = (NAMES[Method.MAJORITY], NAMES[Method.UNIFORM])
    return [line for line in _measured(grid, rows, sweep) if line.label not in guesses]


def _measured(grid: Grid, rows: Rows, sweep: Sweep) -> list[Line]:
    return [line for line in lines_of(grid, rows, sweep) if not all(math.isnan(value) for value in line.y)]


def lines_of(grid: Grid, rows: Rows, sweep: Sweep) -> Iterator[Line]:
    """Yield the series of a sweep, in the order of the table; NaN where nothing was measured."""
    bounds: list[tuple[int, str, Callable[[int], int] | None]] = []
    if sweep is Sweep.CORRUPTION:
        bounds.append((1, "this system", None))
    else:
        if grid.has_few:
            bounds.append((0, "this system, few corrupted", few))
        bounds.append((1, "this system, default", default_bound))
    series = [
        (style, f"{name}, {way}", stroke, method, bound_of)
        for style, name, bound_of in bounds
        for method, (way, stroke) in WAYS.items()
    ]
    for style, (method, name) in enumerate(NAMES.items(), start=2):
        if method in grid.methods:
            series.append((style, name, Stroke.DOTTED, method, default_bound))
    values: Sequence[float]
    for style, label, stroke, method, bound_of in series:
        if sweep is Sweep.PARTIES:
            values = grid.parties
            points = [(n, grid.epsilon, bound_of(n) if bound_of else 0) for n in grid.parties]
        elif sweep is Sweep.EPSILON:
            n = grid.fixed_parties
            values = [float(epsilon) for epsilon in grid.epsilons]
            points = [(n, epsilon, bound_of(n) if bound_of else 0) for epsilon in grid.epsilons]
        else:
            values = grid.bounds
            points = [(grid.bound_parties, grid.epsilon, bound) for bound in grid.bounds]
        found = [
            rows.get(Point.of(grid.model, method, n, epsilon, bound, grid.seeds_with(n)))
            for n, epsilon, bound in points
        ]
        yield Line(
            label,
            values,
            [math.nan if row is None else row.f1_weighted for row in found],
            [math.nan if row is None else row.half_width for row in found],
            stroke=stroke,
            style=style,
        )


def tables() -> dict[str, str]:
    """Return every table by name, as Markdown."""
    made = {
        "noise": "".join(_noise_table()),
        "membership": "".join(membership_table(RESULTS)),
        "leaks": "".join(leak_table(RESULTS)),
        "daemons": "".join(_daemon_table()),
        "cost": "".join(cost_table(read_csv(RESULTS / "cost.csv", CostRow))),
        **default_tables(RESULTS),
        "scale": "".join(scale_table(RESULTS)),
        "widths": "".join(width_table(RESULTS)),
    }
    for name, grid in FULL.items():
        if not (RESULTS / f"{name}.csv").exists():
            continue
        rows = rows_of(grid)
        for sweep in Sweep:
            if sweep is not Sweep.CORRUPTION or grid.bounds:
                made[f"{name}-{sweep.value}"] = "".join(_sweep_table(grid, rows, sweep))
    return made


def _sweep_table(grid: Grid, rows: Rows, sweep: Sweep) -> Iterator[str]:
    lines = _measured(grid, rows, sweep)
    heads = {Sweep.PARTIES: "parties", Sweep.EPSILON: "ε", Sweep.CORRUPTION: "corruption bound"}
    yield f"| {heads[sweep]} | {' | '.join(f'{x:g}' for x in lines[0].x)} |\n"
    yield "|---|" + "---|" * len(lines[0].x) + "\n"
    for line in lines:
        cells = (_cell(y, error) for y, error in zip(line.y, line.error or (), strict=True))
        yield f"| {line.label} | {' | '.join(cells)} |\n"


def _cell(mean: float, half_width: float) -> str:
    if math.isnan(mean):
        return "not measured"
    return f"{mean:.3f}" if math.isnan(half_width) else f"{mean:.3f} ± {half_width:.3f}"


def _noise_table() -> Iterator[str]:
    yield "| noise | mechanism | n | c | h | contributors | formula | measured | 95 % confidence | off by |\n"
    yield "|---|---|---|---|---|---|---|---|---|---|\n"
    for found in read_ledger(RESULTS / "noise.csv"):
        setting = found.setting
        off = found.measured / found.predicted - 1
        yield (
            f"| {setting.method.value} | {setting.mechanism.value} | {setting.parties} | {setting.corruption_bound} | "
            f"{found.shares} | {setting.contributors} | {found.predicted:.4f} | {found.measured:.4f} | "
            f"{found.low:.4f} … {found.high:.4f} | {off:+.2%} |\n"
        )


def simulated(run: RealRun) -> Row:
    """Return the simulated row of the same point."""
    (row,) = (row for row in read_csv(RESULTS / "daemons-simulated.csv", Row) if row.model == run.model)
    return row


def _daemon_table() -> Iterator[str]:
    yield (
        "| model | n | ε | real daemons, weighted F1 | simulated, mean | simulated runs | "
        "standard deviation of one run | p | rounds | seconds | MiB sent |\n"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|\n"
    runs = read_csv(RESULTS / "daemons.csv", RealRun)
    for model, parties, epsilon in dict.fromkeys((run.model, run.parties, run.epsilon) for run in runs):
        found = [run for run in runs if (run.model, run.parties, run.epsilon) == (model, parties, epsilon)]
        row = simulated(found[0])
        real = ", ".join(f"{run.f1_weighted:.3f}" for run in found)
        spread, p = _agreement([run.f1_weighted for run in found], row)
        yield (
            f"| {model} | {parties} | {epsilon} | {real} | {row.f1_weighted:.3f} | {row.seeds} | {spread:.3f} | "
            f"{p:.2f} | {max(run.rounds for run in found)} | "
            f"{fmean(run.training_seconds for run in found):.0f} | "
            f"{fmean(run.bytes_sent for run in found) / 2**20:.1f} |\n"
        )


def _agreement(real: Sequence[float], row: Row) -> tuple[float, float]:
    """Return the pooled standard deviation of one run, and the p of Student's test that both have the same mean."""
    freedom = len(real) + row.seeds - 2
    squares = sum((one - fmean(real)) ** 2 for one in real) + (row.seeds - 1) * row.std**2
    spread = math.sqrt(squares / freedom)
    error = spread * math.sqrt(1 / len(real) + 1 / row.seeds)
    return spread, 2 * float(t.sf(abs(fmean(real) - row.f1_weighted) / error, freedom))


def with_tables(document: str, made: dict[str, str]) -> str:
    """Return the document with every table in its place; raises ``KeyError`` for one that has no numbers."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n{made[match[2]]}{match[4]}"

    return re.sub(r"(<!-- table: ([a-z-]+) -->)\n(.*?)(<!-- end of table -->)", table, document, flags=re.S)


def write(names: Sequence[str]) -> None:
    """Draw the figures of these kinds of models, and rewrite the tables of the document."""
    draw_figures(names)
    draw_membership(RESULTS)
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(), tables()))
