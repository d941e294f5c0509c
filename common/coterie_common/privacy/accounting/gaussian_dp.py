# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The Gaussian pair that measures a lifetime budget: N(0, 1) against N(μ, 1), and with probability D everything.

δ_μ(ε) = Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ) is the least δ at which the pair is (ε, δ)-indistinguishable (Balle and
Wang, 2018). If, in addition, the answer is revealed outright with probability D, it is D + (1 − D)·δ_μ(ε).

**Pure ε.** Every ε-differentially private release is post-processing of randomised response, p = e^ε/(1 + e^ε) against
1 − p. At γ = e^0 … e^ε its curve H(γ) = p − γ(1 − p) is a line and is 0 beyond. With μ = 2Φ⁻¹(p) the Gaussian's curve
γ ↦ δ_μ(ln γ) has at γ = 1 the value 2Φ(μ/2) − 1 = 2p − 1 and the slope −Φ(−μ/2) = −(1 − p): the line is its tangent
there. It is convex and not negative, so it is nowhere below: the Gaussian dominates.

All functions round towards more privacy spent: relative errors of Φ are below 2^−44 per unit of the exponent.

Source: Dong, Roth and Su, "Gaussian Differential Privacy", 2022; Balle and Wang, "Improving the Gaussian Mechanism for
Differential Privacy", 2018.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from coterie_common.privacy.exact import short_above
from coterie_common.privacy.strips import Float64Array

_ERROR: Final = 2.0**-44
"""Relative, of each of the two terms of δ_μ, per unit of ε."""

_LEAST: Final = 1e-300
"""Absolute: doubles do not distinguish smaller values from 0."""

_STEPS: Final = 100
_MIN_VARIANCE: Final = 1e-24
_MAX_VARIANCE: Final = 1e8
_MAX_EPSILON: Final = 1e6

DIGITS: Final = 12
"""Significant digits of μ², rounded up: sums of thousands stay short."""


def delta_bounds(squared_distance: float, epsilons: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return a lower and an upper bound of δ_μ(ε).

    Args:
        squared_distance: μ² > 0.
        epsilons: each at least 0.
    """
    from scipy.special import log_ndtr

    mu = math.sqrt(squared_distance)
    first = np.exp(log_ndtr(mu / 2 - epsilons / mu))
    second = np.exp(np.minimum(epsilons + log_ndtr(-mu / 2 - epsilons / mu), 0.0))
    error = _ERROR * (1 + epsilons) * (first + second)
    return np.maximum(first - second - error, 0.0), np.minimum(np.maximum(first - second, 0.0) + error + _LEAST, 1.0)


@lru_cache(maxsize=1024)
def most_squared_distance(epsilon: Fraction, delta: Fraction) -> Fraction:
    """Return a μ², the greatest but for rounding, with δ_μ(ε) ≤ δ; 0 if δ ≤ 0.

    Args:
        epsilon: ε ≥ 0.
        delta: δ < 1.
    """
    if delta <= 0:
        return Fraction(0)
    at, maximum = np.array([float(epsilon)]), float(delta) * (1 - 2.0**-50)
    low, high = _MIN_VARIANCE, _MAX_VARIANCE
    if delta_bounds(low, at)[1][0] > maximum:
        return Fraction(0)
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if delta_bounds(middle, at)[1][0] <= maximum:
            low = middle
        else:
            high = middle
    return Fraction(low)


def epsilon_at(squared_distance: Fraction, told: Fraction, delta: Fraction) -> float:
    """Return an upper bound of the ε ≥ 0 with D + (1 − D)·δ_μ(ε) ≤ δ; infinite if there is none.

    Args:
        squared_distance: μ² ≥ 0.
        told: D, 0 ≤ D < 1.
        delta: 0 ≤ δ < 1.
    """
    if told > delta or (squared_distance and told == delta):
        return math.inf
    if not squared_distance:
        return 0.0
    square, maximum = float(squared_distance) * (1 + 2.0**-50), float((delta - told) / (1 - told)) * (1 - 2.0**-50)
    low, high = 0.0, 1.0
    while delta_bounds(square, np.array([high]))[1][0] > maximum:
        low, high = high, 2 * high
        if high > _MAX_EPSILON:
            return math.inf
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if delta_bounds(square, np.array([middle]))[1][0] <= maximum:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=256)
def squared_distance_of_pure(epsilon: Fraction) -> Fraction:
    """Return a μ² whose Gaussian pair dominates every ε-differentially private release; see the module.

    Args:
        epsilon: ε > 0.
    """
    from scipy.special import ndtri_exp

    pure = float(epsilon)
    if pure < 1e-3:
        # (Φ(y) − 1/2) ≥ y·φ(y), y·φ(y) = (ε/4)·(1 + 10^−6)·e^(−y²/2) ≥ ε/4 ≥ tanh(ε/2)/2 with y²/2 < 2·10^−7.
        half = math.sqrt(2 * math.pi) * pure / 4 * (1 + 1e-6)
    else:
        half = -float(ndtri_exp(-pure - math.log1p(math.exp(-pure))))
    return short_above(Fraction(2 * half * (1 + 2.0**-36)) ** 2, DIGITS)
