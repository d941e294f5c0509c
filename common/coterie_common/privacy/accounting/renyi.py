# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Rényi divergences of a job's releases: a second bound of ε, if δ is too small for loss distributions.

A discrete Gaussian of parameter σ² shifted by Δ has Rényi divergence ≤ αΔ²/2σ² at every order α, so N values have

    RDP(α) = α·N·Δ²/2σ² + (2α−1)/(α−1)·N·τ(h, σ²/h)

where the second term pays for the sum of h shares not being exactly a discrete Gaussian (see ``loss``). Vectors, with
and without sampled batches, have their own divergences (see ``vector_renyi``). Ledgers of older versions hold such
divergences (see ``legacy_cost``).

Source: Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020, for the divergence and the
conversion to (ε, δ), which dp-accounting uses, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.loss import classes_of, renyi_epsilon
from coterie_common.privacy.accounting.vector_renyi import vector_divergences
from coterie_common.privacy.event import Event
from coterie_common.privacy.exact import float_above
from coterie_common.privacy.strips import Float64Array

ORDERS: Final = (*range(2, 65), *range(68, 129, 4), *range(136, 257, 8))
"""Integers, because bounds for sampled batches exist only there; up to 256, the best order for ε ≈ 0.1."""


def divergences_of(events: Sequence[Event]) -> tuple[float, ...]:
    """Return upper bounds of the Rényi divergences at ``ORDERS`` of all Gaussian releases together.

    Raises:
        UnsupportedMechanism: too little noise in a share for a proven bound.
    """
    classes = classes_of(events)
    rho = sum((item.squared_multiplier for item in classes), Fraction(0)) / 2
    divergence = Fraction(sum(item.share_divergence for item in classes))
    return tuple(
        float_above(order * rho + Fraction(2 * order - 1, order - 1) * divergence + vectors)
        for order, vectors in zip(ORDERS, vector_divergences(events, ORDERS), strict=True)
    )


def renyi_bound(events: Sequence[Event], delta: Fraction) -> float:
    """Return an upper bound of ε(δ), at the best order; all events must have been planned beforehand.

    Raises:
        UnsupportedMechanism: no sound finite bound.
    """
    if not all(event.is_protected for event in events):
        return math.inf
    pure = float_above(sum((event.pure_epsilon for event in events), Fraction(0)))
    divergences = divergences_of(events)
    if not any(divergences):
        return pure
    return math.nextafter(pure + renyi_epsilon(ORDERS, divergences, float(delta)), math.inf)


def renyi_profile(divergences: Sequence[float], epsilons: Float64Array) -> Float64Array:
    """Return upper bounds of δ(ε) that Rényi divergences at ``ORDERS`` imply, the best order for each ε ≥ 0.

    The inverse of the conversion in ``loss.renyi_epsilon``: δ = e^((α−1)·(D_α − ε + ln(1 − 1/α))) / α.

    Raises:
        UnsupportedMechanism: other than one divergence per order, or one that is negative or not finite.
    """
    if len(divergences) != len(ORDERS) or not all(math.isfinite(each) and each >= 0 for each in divergences):
        raise UnsupportedMechanism("Rényi divergences are finite, not negative, and one per order")
    orders = np.array(ORDERS, np.float64)
    shifted = np.array(divergences) + np.log1p(-1 / orders)
    exponents = (orders - 1)[:, None] * (shifted[:, None] - epsilons[None, :]) - np.log(orders)[:, None]
    bounds: Float64Array = np.exp(np.minimum(exponents.min(axis=0), 0.0))
    return bounds
