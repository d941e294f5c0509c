# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Consistent estimates from noisy contingency tables of one node, as post-processing, which costs no privacy.

The tables of a node, one per feature, count the same records: each of them, summed over the feature's cells, estimates
the same class counts. Averaging these estimates, and spreading each table's deviation over its cells, removes noise
before any decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Float64: TypeAlias = npt.NDArray[np.float64]

SIGNIFICANT: Final = 2.0
"""Standard deviations of noise that a sum of counts must exceed to be acted on."""

_MIN_RECORDS: Final = 10
_RECORDS_IN_NOISE: Final = 5.0


def has_enough_records(records: float, noise_stddev: float) -> bool:
    """Return true if figures such as an accuracy can be computed from sums over ``records``.

    Args:
        records: their number, a noisy count.
        noise_stddev: of the noise in it.

    Of fewer than ten records a figure means nothing. If the count is within five standard deviations of zero, the noise
    of a sum moves a mean by a fifth and more.
    """
    return records >= _MIN_RECORDS and records > _RECORDS_IN_NOISE * noise_stddev


@dataclass(frozen=True, eq=False, slots=True)
class Pooled:
    """Tables of one node, made consistent.

    Attributes:
        class_counts: Float64[classes].
        variance: of the noise left in each class count.
        tables: per feature Float64[cells, classes]; each sums to the same class counts.
        row_variances: per feature the variance of the noise left in each value of its table.
    """

    class_counts: Float64
    variance: float
    tables: tuple[Float64, ...]
    row_variances: tuple[float, ...]


def pool(tables: Sequence[Float64], variance: float, known: Float64, known_variance: float) -> Pooled:
    """Combine the tables of a node with an earlier estimate of its class counts.

    Args:
        tables: per feature Float64[cells, classes], each value with independent noise.
        variance: of that noise; 0 returns the tables as they are.
        known: Float64[classes], an earlier independent estimate of the class counts.
        known_variance: of its noise; infinite if there is no estimate.

    Source: weighted least squares under the constraint that all tables share their class counts.
    """
    if variance == 0:
        return Pooled(tables[0].sum(axis=0), 0.0, tuple(tables), (0.0,) * len(tables))
    weights = [1 / (len(table) * variance) for table in tables]
    known_weight = 1 / known_variance
    pooled_variance = 1 / (sum(weights) + known_weight)
    weighted = sum(
        (weight * table.sum(axis=0) for weight, table in zip(weights, tables, strict=True)), np.zeros_like(known)
    )
    class_counts = pooled_variance * (weighted + known_weight * known)
    return Pooled(
        class_counts,
        pooled_variance,
        tuple(table + (class_counts - table.sum(axis=0)) / len(table) for table in tables),
        tuple(variance * (1 - 1 / len(table)) + pooled_variance / len(table) ** 2 for table in tables),
    )


def project(rows: Float64) -> Float64:
    """Return the nearest rows that could be counts: no value below zero, each row keeping its sum (at least zero).

    Args:
        rows: Float64[rows, classes].

    Source: Euclidean projection onto the simplex (Duchi et al., ICML 2008), per row.
    """
    totals = np.maximum(rows.sum(axis=1, keepdims=True), 0)
    descending = -np.sort(-rows, axis=1)
    ranks = np.arange(1, rows.shape[1] + 1)
    excess = (np.cumsum(descending, axis=1) - totals) / ranks
    # The first rank always qualifies when the total is positive; where the total is 0 the whole row becomes 0.
    kept = np.maximum((descending > excess).sum(axis=1, keepdims=True), 1)
    return np.where(totals > 0, np.maximum(rows - np.take_along_axis(excess, kept - 1, axis=1), 0), 0.0)


def entropy_left(table: Float64) -> float:
    """Return the remaining class entropy after a split, in nats times records.

    The information gain is the node's own entropy, the same for every feature, minus this: the best split leaves least.

    Args:
        table: Float64[cells, classes], not negative.

    Source: Quinlan, "Induction of decision trees", 1986.
    """
    # Imported here: it takes a fifth of the time in which an aggregator starts.
    from scipy.special import xlogy

    totals = table.sum(axis=1)
    return float(xlogy(totals, totals).sum() - xlogy(table, table).sum())
