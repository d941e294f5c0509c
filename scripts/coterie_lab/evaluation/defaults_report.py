# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Numbers and tables of the values that were tried beside the defaults."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coterie_lab.evaluation.csv_file import read_csv, write_csv
from coterie_lab.evaluation.defaults import CONSTANTS, FULL, Ablation, default_of, results_of
from coterie_lab.evaluation.rows import half_width
from coterie_lab.evaluation.runs import Result

FILE = "defaults.csv"

NAMES = {
    "level_factor": "a level's noise: so many times less than that of the level above",
    "significant": "standard deviations of noise that counts must exceed",
}


@dataclass(frozen=True)
class TrialRow:
    """Mean scores with one value.

    Attributes:
        model, parties, epsilon: of the job.
        entry, value: the changed entry and its new value; the default as well.
        is_default: whether the value is the default.
        f1_weighted, std: mean and standard deviation over the seeds; the latter 0 of one seed.
        difference, difference_std: the same of the difference from the default, seed by seed.
        seeds: their number.
    """

    model: str
    entry: str
    value: str
    is_default: bool
    parties: int
    epsilon: float
    f1_weighted: float
    std: float
    difference: float
    difference_std: float
    seeds: int


def rows_of(ablation: Ablation, found: Mapping[str, Result], data: Path | None) -> list[TrialRow]:
    """Summarise an ablation from results by key; raises ``KeyError`` where one is missing."""
    rows = []
    for variation in ablation.variations:
        usual = Fraction(default_of(ablation.model, variation.entry))
        for value in variation.values:
            for setting in ablation.settings:
                trials = (ablation.trial(setting, variation.entry, each) for each in (value, str(usual)))
                changed, default = (_scores(results_of(trial, ablation.seeds, found, data)) for trial in trials)
                rows.append(
                    TrialRow(
                        model=ablation.model,
                        entry=variation.entry,
                        value=value,
                        is_default=Fraction(value) == usual,
                        parties=setting[0],
                        epsilon=float(setting[1]),
                        f1_weighted=float(changed.mean()),
                        std=_stddev(changed),
                        difference=float((changed - default).mean()),
                        difference_std=_stddev(changed - default),
                        seeds=ablation.seeds,
                    )
                )
    return rows


def _scores(results: Sequence[Result]) -> npt.NDArray[np.float64]:
    return np.array([result["f1_weighted"] for result in results], np.float64)


def _stddev(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def write_rows(path: Path, rows: Sequence[TrialRow]) -> None:
    """Write rows as they are committed; those of other models stay."""
    models = {row.model for row in rows}
    others = [row for row in read_csv(path, TrialRow) if row.model not in models] if path.exists() else []
    write_csv(path, sorted([*others, *rows], key=lambda row: [each.model for each in FULL].index(row.model)))


def trial_table(rows: Sequence[TrialRow]) -> Iterator[str]:
    """Yield the lines of the table of one model."""
    settings = list(dict.fromkeys((row.parties, row.epsilon) for row in rows))
    heads = (f"n = {parties}, ε = {epsilon:g}" for parties, epsilon in settings)
    yield f"| what | value | {' | '.join(heads)} |\n"
    yield "|---|---|" + "---|" * len(settings) + "\n"
    for entry, value in dict.fromkeys((row.entry, row.value) for row in rows):
        found = {(row.parties, row.epsilon): row for row in rows if (row.entry, row.value) == (entry, value)}
        what = NAMES[entry] if entry in CONSTANTS else f"`{entry}`"
        is_default = found[settings[0]].is_default
        shown = f"{value}, the default" if is_default else value
        yield f"| {what} | {shown} | {' | '.join(_cell(found[setting]) for setting in settings)} |\n"


def _cell(row: TrialRow) -> str:
    """The default's mean with its interval; for any other value the mean and its difference."""
    if row.is_default:
        return _with_interval(f"{row.f1_weighted:.3f}", half_width(row.std, row.seeds))
    return (
        f"{row.f1_weighted:.3f} ({_with_interval(f'{row.difference:+.3f}', half_width(row.difference_std, row.seeds))})"
    )


def _with_interval(mean: str, width: float) -> str:
    return mean if math.isnan(width) else f"{mean} ± {width:.3f}"


def default_tables(folder: Path) -> dict[str, str]:
    """Return every table of tried values by name."""
    rows = read_csv(folder / FILE, TrialRow)
    return {
        f"defaults-{model}": "".join(trial_table([row for row in rows if row.model == model]))
        for model in dict.fromkeys(row.model for row in rows)
    }
