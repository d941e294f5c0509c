# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The bound on ε that an attack proves: a lower bound at 95 % confidence, to be compared with the promised ε.

Each person's membership is a fair coin of its own. By the theorem, if training is ε-differentially private, no attacker
guesses more than e^ε/(1+e^ε) of the coins right on average, and the number of right guesses among r is at most that of
as many independent ones. An attacker that guesses better disproves ε.

Source: Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", 2023, with the exact binomial
tail (Clopper and Pearson) and, for δ, their correction bounded from above by 2·people·δ per run.
Deviation: independent runs are pooled, whose guesses are dominated together as they are one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from coterie_lab.evaluation.attacks.population import Members

CONFIDENCE = 0.95
FRACTIONS = (0.02, 0.1, 0.5)
"""Shares of the people, at either end of an attacker's scores, about whom it guesses; fixed beforehand. The best of
them counts, at a third of the error each."""


def guesses(members: Members, score: npt.NDArray[np.float64], fraction: float) -> tuple[int, int]:
    """Guess about the most and the least likely members; returns the number of guesses and of right ones."""
    each = max(1, round(fraction * len(score)))
    order = np.argsort(score, kind="stable")
    each = min(each, len(score) // 2)
    return 2 * each, int(members[order[-each:]].sum() + (~members[order[:each]]).sum())


def epsilon_at_least(targets: Sequence[tuple[Members, npt.NDArray[np.float64]]], delta: float) -> float:
    """Return the lower bound of ε that attacks on independent models prove; 0 where they prove nothing.

    Args:
        targets: per model its members, and the attacker's scores.
        delta: promised δ; 0 without a promise.
    """
    people = len(targets[0][0])
    allowed = (1 - CONFIDENCE) / len(FRACTIONS) - 2 * len(targets) * people * delta
    if allowed <= 0:
        return 0.0
    best = 0.0
    for fraction in FRACTIONS:
        counted = [guesses(members, score, fraction) for members, score in targets]
        best = max(best, _bound(sum(made for made, _ in counted), sum(right for _, right in counted), allowed))
    return best


def _bound(made: int, right: int, allowed: float) -> float:
    """Return the largest ε at which this number of right guesses is too large to be chance."""
    low, high = 0.0, 50.0
    if binom.sf(right - 1, made, 0.5) > allowed:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        share = 1 / (1 + math.exp(-middle))
        low, high = (middle, high) if binom.sf(right - 1, made, share) <= allowed else (low, middle)
    return low
