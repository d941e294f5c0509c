# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Centre and scale of the numeric features, from one round of sums: standardisation that leaks no data set.

A record gives 1, each number u in half ranges, and each u². Public bounds alone often leave numbers in a corner of
−1 … 1, where gradients hardly distinguish records; a few sums remedy that, for a small part of the budget.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from coterie_common.learning.algorithm import Float32, Float64
from coterie_common.learning.features import Scaling

_MIN_SCALE = 0.02
"""In half ranges. A smaller spread may be noise, and dividing by it would inflate a column."""


def length(numbers: int) -> int:
    """Return the number of values in the round of ``numbers`` numeric features."""
    return 1 + 2 * numbers


def clip_norm(numbers: int) -> Fraction:
    """Return a bound of a record's norm that is never exceeded: √length, rounded up in the third decimal."""
    return Fraction(math.isqrt(length(numbers) * 10**6) + 1, 1000)


def rows(numbers: Float32) -> Float32:
    """Return the vectors of records, Float32[records, length], from Float32[records, numeric features]."""
    return np.concatenate([np.ones((len(numbers), 1), np.float32), numbers, numbers**2], axis=1)


def scaling_from(sums: Float64) -> Scaling:
    """Return mean and standard deviation from noisy sums, Float64[length], kept within their possible range."""
    count = max(1.0, float(sums[0]))
    means, squares = np.split(sums[1:] / count, 2)
    centre = np.clip(means, -1, 1)
    return Scaling(centre, np.sqrt(np.clip(squares - centre**2, _MIN_SCALE**2, 1)))
