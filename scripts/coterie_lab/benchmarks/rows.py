# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The figures of one run: the metrics, their units, and one row for each figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

METRICS: Final[dict[str, str]] = {
    "reference": "ms",
    "encode": "ms",
    "noise": "ms",
    "seal": "ms",
    "seal_exact": "ms",
    "add": "ms",
    "open": "ms",
    "partial_decrypt": "ms",
    "combine": "ms",
    "open_key": "ms",
    "partial_decrypt_3072": "ms",
    "combine_3072": "ms",
    "open_key_3072": "ms",
    "partial_decrypt_generated": "ms",
    "combine_generated": "ms",
    "open_key_generated": "ms",
    "partial_decrypt_generated_3072": "ms",
    "combine_generated_3072": "ms",
    "open_key_generated_3072": "ms",
    "prove": "ms",
    "verify_reply": "ms",
    "verify_request": "ms",
    "prove_partial": "ms",
    "verify_partial": "ms",
    "upload": "bytes per value",
    "round_sealed": "ms",
    "round_complete": "ms",
    "round_plain": "ms",
    "peak_memory_party": "MiB",
    "peak_memory_aggregator": "MiB",
}
"""Every metric with its unit, in the order of the tables. ``docs/benchmarks.md`` explains each."""

CHECKING: Final = ("prove", "verify_reply", "verify_request", "prove_partial", "verify_partial")
"""Proofs and verifications of a round; none depends on the length of the vector."""

OPENING: Final = ("partial_decrypt", "combine", "open_key")
"""Steps of opening the key of a round; none depends on the length of the vector. Their rows have the number of
ciphertexts for the length of a vector."""

ROUNDS: Final = {
    "round_sealed": "sealed",
    "round_complete": "sealed completely",
    "round_plain": "not sealed",
}
"""Whole rounds, each kind beside its name in tables; what is sealed is compared with the last."""

REFERENCE_VALUES: Final = 1 << 20
"""Points of the yardstick's Fourier transform, which stand in its row for the length of a vector."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        metric: one of ``METRICS``.
        values: length of the vector.
        parties: members of the federation; 1 for the yardstick.
        figure: of several repetitions the least, where it is a time.
        unit: that of the metric.
    """

    metric: str
    values: int
    parties: int
    figure: float
    unit: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A row, and the further figures in the tables.

    Attributes:
        row: what ``--json`` writes.
        median: of the repetitions; the figure itself where there was one.
        core_ms: of a whole round, the ms of one core that all processes spent together; None if not measured.
        memory: of whole rounds, the most MiB that the aggregator and a party had; None if not measured.
    """

    row: Row
    median: float
    core_ms: float | None = None
    memory: tuple[float, float] | None = None


def opening_metric(step: str, kind: str, key_bits: int) -> str:
    """Return the metric of a step of ``OPENING``, for a key of this kind and size.

    Those of a dealt key have the bare name at 2048 bits, and with the smaller keys of tests.
    """
    generated = "" if kind == "dealt" else f"_{kind}"
    size = f"_{key_bits}" if key_bits > 2048 else ""
    return f"{step}{generated}{size}"


def measured(metric: str, values: int, parties: int, figures: Iterable[float]) -> Measured:
    """Return a row with the least of ``figures``."""
    kept = sorted(figures)
    row = Row(metric, values, parties, _rounded(kept[0]), METRICS[metric])
    return Measured(row, _rounded(kept[len(kept) // 2]))


def _rounded(figure: float) -> float:
    """Round to five digits: more would be noise in a file that people compare."""
    return float(f"{figure:.5g}")


def to_json(results: Iterable[Measured]) -> str:
    """Return the rows as a JSON list of objects with exactly five entries each."""
    lines = ",\n".join(json.dumps(asdict(result.row)) for result in results)
    return f"[\n{lines}\n]\n"


def to_csv(results: Iterable[Measured], reference_ms: float) -> str:
    """Return the rows as CSV, with medians and with times as multiples of the yardstick's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "values", "parties", "figure", "unit", "median", "core_ms", "times_reference"])
    for result in results:
        row = result.row
        times: Any = f"{row.figure / reference_ms:.4g}" if row.unit == "ms" else ""
        core = "" if result.core_ms is None else f"{result.core_ms:.5g}"
        writer.writerow([row.metric, row.values, row.parties, row.figure, row.unit, result.median, core, times])
    return text.getvalue()


class Results:
    """The rows of a run, in the order in which they came."""

    def __init__(self) -> None:
        self.all: list[Measured] = []

    def add(self, results: Iterable[Measured]) -> None:
        """Take rows over."""
        self.all += results

    def figure(self, metric: str, values: int, parties: int) -> float | None:
        """Return one figure; None where it was not measured."""
        for result in self.all:
            if (result.row.metric, result.row.values, result.row.parties) == (metric, values, parties):
                return result.row.figure
        return None

    def find(self, metric: str, values: int, parties: int) -> Measured | None:
        """Return one result; None where it was not measured."""
        wanted = (metric, values, parties)
        return next((r for r in self.all if (r.row.metric, r.row.values, r.row.parties) == wanted), None)

    @property
    def values(self) -> list[int]:
        """All lengths of vectors, ascending; the yardstick and the opening of keys have none."""
        without = {"reference", *OPENING, *(metric for metric in METRICS if metric.startswith(OPENING))}
        return sorted({result.row.values for result in self.all if result.row.metric not in without})

    @property
    def parties(self) -> list[int]:
        """All sizes of federations, ascending; the yardstick has none."""
        return sorted({result.row.parties for result in self.all if result.row.metric != "reference"})

    @property
    def reference_ms(self) -> float:
        """The yardstick; infinite before it was measured, so that nothing looks like a multiple of it."""
        figures = [result.row.figure for result in self.all if result.row.metric == "reference"]
        return min(figures, default=float("inf"))
