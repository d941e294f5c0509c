# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Probability mass functions on the integers, their convolutions, and chi-square tests against them.

A ``Pmf`` holds P(first), P(first + 1), …, up to a mass far below what any sample here can notice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats


@dataclass(frozen=True)
class Pmf:
    first: int
    probabilities: npt.NDArray[np.float64]

    def __add__(self, other: Pmf) -> Pmf:
        """Distribution of the sum of independent variables; term by term, so that tails keep their precision."""
        return Pmf(self.first + other.first, np.convolve(self.probabilities, other.probabilities))

    def times(self, count: int) -> Pmf:
        """Distribution of the sum of ``count`` independent copies."""
        total = self
        for _ in range(count - 1):
            total = total + self
        return total

    def at(self, x: int) -> float:
        index = x - self.first
        return float(self.probabilities[index]) if 0 <= index < len(self.probabilities) else 0.0

    @property
    def support(self) -> npt.NDArray[np.int64]:
        return self.first + np.arange(len(self.probabilities))


def gaussian_pmf(variance: float, reach: float = 14.0) -> Pmf:
    """Discrete Gaussian up to ``reach`` standard deviations."""
    edge = math.ceil(reach * math.sqrt(variance)) + 1
    x = np.arange(-edge, edge + 1, dtype=np.float64)
    weights = np.exp(-x * x / (2 * variance))
    return Pmf(-edge, weights / weights.sum())


def laplace_pmf(ratio: float) -> Pmf:
    """Discrete Laplace, P(x) ∝ e^(−ratio·|x|)."""
    edge = math.ceil(45 / ratio)
    x = np.arange(-edge, edge + 1)
    return Pmf(-edge, np.exp(-ratio * np.abs(x)) * math.tanh(ratio / 2))


def negative_binomial_pmf(shape: float, ratio: float) -> Pmf:
    """NB(shape, 1 − e^−ratio) on 0, 1, 2, …."""
    k = np.arange(math.ceil(45 / ratio) + 1)
    logarithms = special.gammaln(k + shape) - special.gammaln(shape) - special.gammaln(k + 1) - ratio * k
    return Pmf(0, np.exp(logarithms) * (-math.expm1(-ratio)) ** shape)


def negated(pmf: Pmf) -> Pmf:
    return Pmf(-(pmf.first + len(pmf.probabilities) - 1), pmf.probabilities[::-1])


def chi_square_p_value(sample: npt.NDArray[np.int64], pmf: Pmf) -> float:
    """P value of Pearson's test; neighbouring values are pooled until 20 are expected, both tails included."""
    probabilities = pmf.probabilities / pmf.probabilities.sum()
    counts = np.bincount(
        np.clip(sample - pmf.first, -1, len(probabilities)) + 1, minlength=len(probabilities) + 2
    ).astype(np.float64)
    expected = np.concatenate(([0.0], probabilities * len(sample), [0.0]))
    cells = _cells(expected, 20.0)
    observed, wanted = np.add.reduceat(counts, cells), np.add.reduceat(expected, cells)
    return float(stats.chisquare(observed, wanted).pvalue)


def same_distribution_p_value(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    """P value of the chi-square test that two samples have one distribution; values are pooled until 40 occurred."""
    first = int(min(left.min(), right.min()))
    length = int(max(left.max(), right.max())) - first + 1
    counts = np.array([np.bincount(sample - first, minlength=length) for sample in (left, right)], dtype=np.float64)
    cells = _cells(counts.sum(axis=0), 40.0)
    return float(stats.chi2_contingency(np.add.reduceat(counts, cells, axis=1)).pvalue)


def _cells(expected: npt.NDArray[np.float64], minimum: float) -> npt.NDArray[np.intp]:
    """Return where cells of at least ``minimum`` start; the rest at the end joins the last."""
    starts, total, begin = [], 0.0, 0
    for i, value in enumerate(expected):
        total += value
        if total >= minimum:
            starts.append(begin)
            begin, total = i + 1, 0.0
    return np.array(starts, dtype=np.intp)
