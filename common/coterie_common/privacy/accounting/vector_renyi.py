# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Rényi divergences of sums of vectors with distributed discrete Gaussian noise, at integer orders.

Notation as in ``vector_loss``; μ² = S/σ². The discrete Gaussians P around w and Q around 0, ‖w‖² ≤ S, and M = (1−q)·Q
+ q·P for batches. For a positive *integer* k, w·k is an integer vector, so completing the square gives exactly

    Σ_x Q(x)·(P(x)/Q(x))^k = e^((k²−k)·‖w‖²/2σ²),

as for continuous Gaussians; at other orders there is no such identity. Expanding (M/Q)^α and taking off 1 = Σ_k
C(α, k)·(1−q)^(α−k)·q^k, of which the terms k = 0 and 1 leave nothing,

    D_α(M‖Q) = ln(1 + Σ_{k=2..α} C(α, k)·(1−q)^(α−k)·q^k·(e^((k²−k)μ²/2) − 1)) / (α − 1):

all terms are positive, so that doubles lose nothing even where the divergence is 10^−12. D_α(Q‖M) is no greater,
because a reflection exchanges P and Q. Both grow with ‖w‖, and power moments are jointly convex: rounding and the rest
of the batch change nothing. Without batches D_α = αμ²/2. The sum of h shares costs (2α−1)/(α−1)·T more, T = d·τ(h,
σ²/h).

Source: Mironov, Talwar and Zhang, "Rényi Differential Privacy of the Sampled Gaussian Mechanism", 2019, for continuous
noise and for the reflection. dp-accounting computes the same number with 1 in the sum, which is lost to cancellation
for small q; tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from coterie_common.privacy.accounting.vector_loss import share_divergence
from coterie_common.privacy.event import Event, protected_vectors
from coterie_common.privacy.exact import short_above
from coterie_common.privacy.strips import Float64Array

_DIGITS: Final = 12
"""Of μ², rounded up: sums of thousands of different fractions stay short."""

_SLACK: Final = 2.0**-30
"""Relative: logarithms of up to some 10^5 err by 10^−11 at most, and so do terms and sum, relative to themselves."""


def vector_divergences(events: Iterable[Event], orders: Sequence[int]) -> list[Fraction]:
    """Return upper bounds of the Rényi divergences of all protected vector events together; counts are left out.

    Args:
        events: any.
        orders: integers, at least 2.

    Raises:
        UnsupportedMechanism: too little noise in a share for a proven bound.
    """
    totals = [Fraction(0)] * len(orders)
    for event, rounds in protected_vectors(events).items():
        square = short_above(event.squared_sensitivity / (event.gaussian_variance or Fraction(1)), _DIGITS)
        shares = Fraction(share_divergence(event))
        for i, order in enumerate(orders):
            whole = order * square / 2
            one = whole if event.rate == 1 else min(whole, Fraction(sampled_divergence(order, event.rate, square)))
            totals[i] += rounds * (one + Fraction(2 * order - 1, order - 1) * shares)
    return totals


@lru_cache(maxsize=4096)
def sampled_divergence(order: int, rate: Fraction, squared_distance: Fraction) -> float:
    """Return an upper bound of D_α of one release with batches, in both directions.

    Args:
        order: α ≥ 2.
        rate: q, 0 < q < 1.
        squared_distance: μ² > 0.
    """
    k = np.arange(2, order + 1, dtype=np.float64)
    exponents = (k * k - k) * float(squared_distance / 2)
    # ln(e^x − 1) = x + ln(1 − e^−x): neither overflows nor cancels.
    logarithms = exponents + np.log(-np.expm1(-exponents))
    logarithms += _log_binomials(order) + (order - k) * math.log(1 - rate) + k * math.log(rate)
    greatest = float(logarithms.max())
    total = greatest + math.log(float(np.exp(logarithms - greatest).sum()))
    return float(np.logaddexp(0.0, total)) / (order - 1) * (1 + _SLACK)


@lru_cache(maxsize=512)
def _log_binomials(order: int) -> Float64Array:
    """Return ln C(order, k) for k = 2 … order."""
    return np.array([math.log(math.comb(order, k)) for k in range(2, order + 1)])
