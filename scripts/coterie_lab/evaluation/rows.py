# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""From results to rows: means over the seeds, their spread, and their confidence intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t

from coterie_lab.evaluation.points import Point
from coterie_lab.evaluation.runs import Result

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Row:
    """Mean scores of a point.

    Attributes:
        model, method, parties, epsilon, corruption_bound: of the point; the last two ``None`` where they do not matter.
        f1_macro, f1_weighted, accuracy: means over the seeds.
        seeds: their number.
        std: standard deviation of the weighted F1 over the seeds.
    """

    model: str
    method: str
    parties: int
    epsilon: float | None
    corruption_bound: int | None
    f1_macro: float
    f1_weighted: float
    accuracy: float
    seeds: int
    std: float

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % confidence interval of the mean weighted F1, by Student's t."""
        return half_width(self.std, self.seeds)


def half_width(std: float, seeds: int) -> float:
    """Return half the width of the 95 % confidence interval of a mean, by Student's t; NaN of one seed."""
    if seeds < 2:
        return math.nan
    return float(t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) * std / math.sqrt(seeds)


def row_of(point: Point, results: Sequence[Result]) -> Row:
    """Summarise a point."""
    mean = {name: float(np.mean([result[name] for result in results])) for name in ("f1_macro", "accuracy")}
    weighted = [result["f1_weighted"] for result in results]
    return Row(
        model=point.model,
        method=point.method.value,
        parties=point.parties,
        epsilon=None if point.epsilon is None else float(point.epsilon),
        corruption_bound=point.corruption_bound,
        f1_macro=mean["f1_macro"],
        f1_weighted=float(np.mean(weighted)),
        accuracy=mean["accuracy"],
        seeds=len(results),
        std=float(np.std(weighted, ddof=1)) if len(weighted) > 1 else 0.0,
    )


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as ``--json`` promises them."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
