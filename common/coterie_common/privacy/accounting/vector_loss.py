# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Privacy loss of sums of vectors with distributed discrete Gaussian noise, with and without sampled batches.

Notation: a unit changes the integer sum by a vector w, ‖w‖² ≤ S; each of the d values gets the noise of h shares,
within e^±τ(h, σ²/h) of a discrete Gaussian of parameter σ² (see ``loss``); a record takes part with probability q.

1. **A discrete Gaussian is a rounded Gaussian.** Let G be a (continuous) Gaussian with variance σ² − s² around an
   integer w, and given G = g let X be the integer x with probability e^(−(x−g)²/2s²) / Θ(g), where Θ(g) is the sum of
   e^(−(y−g)²/2s²) over all integers y. Integrated over g, the product of the two Gaussians is (s/σ)·e^(−(x−w)²/2σ²),
   and by Poisson summation Θ(g) = √(2π)·s·(1 + κ(g)) with |κ(g)| ≤ 2·Σ_m e^(−2π²s²m²). So for s ≥ 1, X is pointwise
   within e^±5·e^(−2π²s²) of the discrete Gaussian of parameter σ² around w. How G is rounded does not depend on w.
2. Hence a release is, pointwise within e^±T, T = d·(τ(h, σ²/h) + 5·e^(−2π²s²)), post-processing of the same sum with
   *continuous* Gaussian noise of variance σ² − s². With s² = 3 that costs 3/σ² of the variance, and the second term of
   T is below d·10^−25.
3. For continuous noise the worst case is known: with batches ((1−q)·N(0, 1) + q·N(μ, 1), N(0, 1)) and its reverse,
   μ² = S/(σ² − 3). Hockey-stick divergences are jointly convex, so what else is random (the rest of the batch, the
   rounding) changes nothing. These pairs dominate under adaptive composition. Without batches μ² just adds up.
4. dp-accounting puts the loss on a grid, connecting the dots of δ(ε) from above, and composes equal rounds at once.
   T is paid for as in ``loss``.

Where the unit is a party, its reply is replaced by zero and its noise kept: dp-accounting's REPLACE_SPECIAL. There is
no sampling, and the loss is the same.

Source: step 1: Peikert, "An Efficient and Parallel Gaussian Sampler for Lattices", 2010. Step 3: Zhu, Dong and Wang,
"Optimal Accounting of Differential Privacy via Characteristic Function", 2022. Step 4: Doroshenko et al., "Connect the
Dots: Tighter Discrete Approximations of Privacy Loss Distributions", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from coterie_common.privacy.accounting.loss import sum_divergence
from coterie_common.privacy.event import Event, VectorEvent, protected_vectors
from coterie_common.privacy.exact import float_above, short_above
from coterie_common.privacy.noise.mechanisms import Unit

SMOOTHING_VARIANCE: Final = 3
"""s²."""

SMOOTHING_DIVERGENCE: Final = 5 * math.exp(-2 * math.pi**2 * SMOOTHING_VARIANCE) * (1 + 2.0**-40)
"""Difference of the rounded Gaussian, per value."""

_DIGITS: Final = 12
"""Of μ², rounded up: sums of thousands of different fractions stay short."""

_MERGED: Final = 1 - Fraction(1, 1000)
"""Kinds of sampled rounds whose μ² differ by less than this factor are counted as the worst of them: calibration gives
all rounds nearly the same, and time grows with the number of kinds."""

_POINTS: Final = 1 << 15
"""Grid points that one sampled round's loss is spread over at most; ε grows by 0.1 % at most with so few."""

_REACH: Final = 10
"""Standard deviations of noise that the grid of a sampled round covers; dp-accounting cuts at e^−50."""

_SELF_COMPOSITION_SLACK: Final = 2.0**-38
"""Of δ, per round: doubles in grid points and FFTs. Measured against extended precision they lose 10^−12 for 10 rounds
and 3·10^−12 for 10^4, a fortieth of this and less (``tests/unit/privacy/test_vector_loss.py``)."""


@dataclass(frozen=True, slots=True)
class VectorLoss:
    """Rounds of vectors that have the same loss; a ``Loss``.

    Attributes:
        rounds: their number; 1 without sampling, where μ² is that of all rounds together.
        squared_distance: μ², the squared distance in standard deviations of a sum with and without the unit.
        rate: q, 1 without sampling.
        unit: decides on the neighbouring relation only.
        divergence: T of all these rounds.
    """

    rounds: int
    squared_distance: Fraction
    rate: Fraction
    unit: Unit
    divergence: float

    @property
    def squared_spread(self) -> Fraction:
        """See ``Loss``; the Rényi divergence at order 2, ln(1 + q²(e^μ² − 1)) for each round."""
        if self.rate == 1:
            return self.squared_distance
        exponent = min(float(self.squared_distance), 600.0)
        return Fraction(self.rounds * math.log1p(float(self.rate) ** 2 * math.expm1(exponent)))

    @property
    def least_interval(self) -> float:
        """See ``Loss``."""
        if self.rate == 1:
            return 0.0
        distance = math.sqrt(self.squared_distance)
        loss = distance**2 / 2 + _REACH * distance
        return (loss if loss > 600 else math.log1p(float(self.rate) * math.expm1(loss))) / _POINTS

    @property
    def slack(self) -> float:
        """See ``Loss``."""
        return _SELF_COMPOSITION_SLACK * self.rounds

    def distribution(self, interval: float) -> Any:
        """See ``Loss``."""
        from dp_accounting import privacy_accountant
        from dp_accounting.pld import privacy_loss_distribution

        relations = privacy_accountant.NeighboringRelation
        single = privacy_loss_distribution.from_gaussian_mechanism(
            float(1 / math.sqrt(self.squared_distance)) * (1 - 2.0**-50),
            value_discretization_interval=interval,
            sampling_prob=float_above(self.rate),
            neighboring_relation=(
                relations.ADD_OR_REMOVE_ONE if self.unit is Unit.RECORD else relations.REPLACE_SPECIAL
            ),
        )
        return single if self.rounds == 1 else single.self_compose(self.rounds)


def share_divergence(event: VectorEvent) -> float:
    """Return d·τ(h, σ²/h): the difference between the sum of shares and discrete Gaussians.

    Raises:
        UnsupportedMechanism: too little noise in a share for a proven bound.
    """
    variance = event.gaussian_variance or Fraction(0)
    return event.length * sum_divergence(event.guaranteed_shares, variance / event.guaranteed_shares)


def vector_losses_of(events: Iterable[Event]) -> tuple[VectorLoss, ...] | None:
    """Group protected vector events, all for one unit of privacy, by equal loss; counts are left out.

    Returns:
        None if the noise of a round is too narrow for step 1.

    Raises:
        UnsupportedMechanism: too little noise in a share for a proven bound.
    """
    losses: list[VectorLoss] = []
    for event, rounds in protected_vectors(events).items():
        variance = event.gaussian_variance or Fraction(0)
        if variance < 2 * SMOOTHING_VARIANCE:
            return None
        square = short_above(event.squared_sensitivity / (variance - SMOOTHING_VARIANCE), _DIGITS)
        apart = rounds * (share_divergence(event) + event.length * SMOOTHING_DIVERGENCE)
        if event.rate == 1:
            rounds, square = 1, rounds * square
        losses.append(VectorLoss(rounds, square, event.rate, event.unit, apart))
    merged: list[VectorLoss] = []
    for loss in sorted(losses, key=lambda loss: (loss.rate, loss.squared_distance), reverse=True):
        last = merged[-1] if merged else None
        if last and last.rate == loss.rate == 1:
            square = last.squared_distance + loss.squared_distance
            merged[-1] = replace(last, squared_distance=square, divergence=last.divergence + loss.divergence)
        elif last and last.rate == loss.rate and loss.squared_distance >= last.squared_distance * _MERGED:
            rounds = last.rounds + loss.rounds
            merged[-1] = replace(last, rounds=rounds, divergence=last.divergence + loss.divergence)
        else:
            merged.append(loss)
    return tuple(merged)
