# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Gaussian pairs that dominate the releases of one job, all planned beforehand.

*(μ, δ′) dominates* a pair of distributions P, Q if for every γ ≥ 1

    H_γ(P‖Q) ≤ δ′ + (1 − δ′)·δ_μ(ln γ),   and the same for H_γ(Q‖P).        H_γ(P‖Q) = Σ (P − γQ)⁺

Then P, Q are post-processing of: with probability δ′ the choice between the two is revealed, otherwise N(0, 1) or
N(μ, 1) (Blackwell's theorem; for γ < 1 both sides follow from the reverse pair at 1/γ).

1. **Gaussian noise without batches.** A round of counts is one integer with discrete Gaussian noise of parameter
   V = Nσ² that is shifted by D = NΔ, within e^±T, T = N·τ(h, σ²/h) + τ(N, σ²) (``loss``, step 3). That integer, and
   each value of a vector, is within e^±5·e^(−6π²) of a rounded *continuous* Gaussian of variance V − 3 or σ² − 3
   (``vector_loss``, step 1). Where P is within e^±T of P̃ and Q of Q̃, P ≥ e^−T·P̃ states that with probability e^−T, P
   is drawn from P̃; otherwise, with probability T at most, it is revealed. So μ² = D²/(V − 3) or S/(σ² − 3) and δ′ = T
   dominate, in closed form.
2. **Laplace noise.** Each of the l0 values is pure ε: see ``gaussian_dp``. Either each value by itself or all together.
3. **All sampled rounds of a job together**, for the loss of one such round has a tail that no narrow Gaussian
   dominates. Their composed loss on a grid, pessimistic, gives bounds X(ε) of the curve. Both curves fall, so that

       X(ε_i) ≤ δ″ + (1 − δ″)·δ_μ(ε_{i+1}) at ε_0 = 0 < ε_1 < … < ε_n,   X(ε_n) ≤ δ″

   is domination everywhere. The least such μ is found for several δ′ = δ″ + T + the loss of doubles. A δ′ twice as
   large allows a smaller μ; which of these a limit is charged depends on the limit alone (``cost``).

   Rounds of counts that are too narrow for step 1 go the same way. Where there is no loss distribution, X comes of
   Rényi divergences, order by order: not as μ² = 2ρ, for a bound of divergences is no bound of the curve by a Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.privacy.accounting.gaussian_dp import DIGITS, delta_bounds, squared_distance_of_pure
from coterie_common.privacy.accounting.loss import Loss, classes_of, composed
from coterie_common.privacy.accounting.renyi import divergences_of, renyi_profile
from coterie_common.privacy.accounting.vector_loss import (
    SMOOTHING_DIVERGENCE,
    SMOOTHING_VARIANCE,
    share_divergence,
    vector_losses_of,
)
from coterie_common.privacy.event import CountEvent, Event
from coterie_common.privacy.exact import fraction_from_text, fraction_to_text, short_above
from coterie_common.privacy.strips import Float64Array

_SLACKS: Final = tuple(Fraction(1, 1 << bits) for bits in range(10, 41))
"""The δ′ to try."""

_CELLS: Final = 3000
"""Between 0 and the greatest ε that matters, once of equal width and once of equal ratio: they cost 1/200 of μ²."""

_TRIED: Final = 100
_BISECTIONS: Final = 26
_MIN_SQUARE: Final = 1e-24
_MAX_SQUARE: Final = 1e8
_MAX_REACH: Final = 1e5
_MAX_LIBRARY_REACH: Final = 600

_UNIT: Final = 1 << 80
"""δ′ in closed form is rounded up to a multiple of 2^−80: 10^−24 for each round."""

_RELATIVE_LOSS: Final = 2.0**-30


@dataclass(frozen=True, slots=True)
class Domination:
    """(μ, δ′).

    Attributes:
        slack: δ′, 0 ≤ δ′ < 1.
        squared_distance: μ² ≥ 0.
    """

    slack: Fraction
    squared_distance: Fraction


@dataclass(frozen=True, slots=True)
class Curve:
    """Several pairs that all dominate the same releases, at least one; the greater δ′, the smaller μ."""

    points: tuple[Domination, ...]
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.points:
            raise UnsupportedMechanism("no Gaussian pair dominates these releases: too little noise")
        object.__setattr__(self, "_hash", hash(self.points))

    def __hash__(self) -> int:
        # A ledger has thousands of lines with the same curve.
        return self._hash

    def within(self, maximum: Domination) -> Domination:
        """Return the pair whose greater part of ``maximum`` is least.

        It depends only on the curve and the limit, and above all not on other spending: see ``cost``.
        """
        if not maximum.slack or not maximum.squared_distance:
            return self.points[0]
        return min(
            self.points,
            key=lambda point: max(point.squared_distance / maximum.squared_distance, point.slack / maximum.slack),
        )

    def to_document(self) -> list[list[str]]:
        """Return JSON values: δ′ and μ² of each pair."""
        return [[fraction_to_text(each) for each in (point.slack, point.squared_distance)] for point in self.points]

    @classmethod
    def from_document(cls, value: Any) -> Curve:
        """Parse the output of ``to_document``; raises ``MalformedMessage``."""
        if not isinstance(value, list) or not all(isinstance(point, list) and len(point) == 2 for point in value):
            raise MalformedMessage("pairs that dominate a job must be lists of two fractions")
        if not all(isinstance(text, str) for point in value for text in point) or not 1 <= len(value) <= 64:
            raise MalformedMessage("pairs that dominate a job must be 1 to 64 lists of two fractions")
        return _parsed(tuple(tuple(point) for point in value))


@lru_cache(maxsize=256)
def _parsed(points: tuple[tuple[str, ...], ...]) -> Curve:
    return Curve(
        tuple(
            Domination(fraction_from_text(slack, "a curve's slack"), fraction_from_text(square, "a curve's distance"))
            for slack, square in points
        )
    )


def dominates_alone(event: Event) -> Domination | None:
    """Return the pair in closed form that dominates a protected release; None where it needs ``curve_of``.

    Raises:
        UnsupportedMechanism: too little noise in a share for a proven bound.
    """
    if isinstance(event, CountEvent):
        if event.gaussian_variance is None:
            together = squared_distance_of_pure(event.pure_epsilon)
            apart = event.l0 * squared_distance_of_pure(event.pure_epsilon / event.l0)
            return Domination(Fraction(0), short_above(min(together, apart), DIGITS))
        (item,) = classes_of([event])
        return _of_integer(
            (item.values * item.shift) ** 2, item.values * item.variance, item.divergence + SMOOTHING_DIVERGENCE
        )
    if event.rate != 1 or event.gaussian_variance is None:
        return None
    apart_by = share_divergence(event) + event.length * SMOOTHING_DIVERGENCE
    return _of_integer(event.squared_sensitivity, event.gaussian_variance, apart_by)


def _of_integer(squared_shift: int, variance: Fraction, divergence: float) -> Domination | None:
    if variance < 2 * SMOOTHING_VARIANCE or divergence >= 1:
        return None
    slack = Fraction(math.ceil(Fraction(divergence) * _UNIT), _UNIT)
    return Domination(slack, short_above(squared_shift / (variance - SMOOTHING_VARIANCE), DIGITS))


def curve_of(events: Sequence[Event]) -> Curve:
    """Return pairs that dominate all these protected releases of one job together.

    Raises:
        UnsupportedMechanism: there is none, because there is too little noise.
    """
    vectors = vector_losses_of(events)
    if vectors is not None:
        losses = (*classes_of(events), *vectors)
        try:
            return _curve_of_losses(losses)
        except UnsupportedMechanism:
            # Too many kinds of rounds, or a loss beyond doubles; the bound below may still work.
            pass
    return curve_of_divergences(divergences_of(events))


@lru_cache(maxsize=64)
def _curve_of_losses(losses: tuple[Loss, ...]) -> Curve:
    distribution, lost, divergence = composed(losses)

    def profile(epsilons: Float64Array) -> Float64Array:
        return np.asarray(distribution.get_delta_for_epsilon(epsilons), np.float64)

    lefts = {slack: float(slack) * (1 - 2.0**-50) - lost - divergence for slack in _SLACKS}
    reaches = (float(distribution.get_epsilon_for_delta(left)) for left in sorted(lefts.values()) if left > 0)
    reach = next(filter(math.isfinite, reaches), math.inf)
    # Beyond, the library's e^ε leaves the range of doubles.
    return _curve(profile, lefts, reach if reach < _MAX_LIBRARY_REACH else math.inf)


@lru_cache(maxsize=64)
def curve_of_divergences(divergences: tuple[float, ...]) -> Curve:
    """Return pairs that dominate everything with at most these Rényi divergences at ``renyi.ORDERS``.

    Raises:
        UnsupportedMechanism: there is none, or they are no divergences.
    """

    def profile(epsilons: Float64Array) -> Float64Array:
        return renyi_profile(divergences, epsilons)

    lefts = {slack: float(slack) * (1 - 2.0**-50) for slack in _SLACKS}
    reach, minimum = 1.0, min(lefts.values())
    while profile(np.array([reach]))[0] > minimum and reach <= _MAX_REACH:
        reach *= 1.25
    return _curve(profile, lefts, reach)


def _curve(profile: Callable[[Float64Array], Float64Array], lefts: dict[Fraction, float], reach: float) -> Curve:
    """Return the narrowest pair for each δ′ that has one.

    Args:
        profile: X.
        lefts: δ″ for every δ′.
        reach: ε at which X is as small as the least δ″ that it ever reaches.

    Raises:
        UnsupportedMechanism: there is none.
    """
    if reach > _MAX_REACH:
        return Curve(())
    end = max(reach, 1e-9) * (1 + 1e-6)
    knots = np.union1d(np.linspace(0.0, end, _CELLS), np.geomspace(end * 1e-4, end, _CELLS))
    curve = profile(knots) * (1 + _RELATIVE_LOSS)
    points = []
    for slack, left in lefts.items():
        if left > 0 and curve[-1] <= left:
            wanted = (curve[:-1] - left) / (1 - left)
            counts = wanted > 0
            square = _narrowest(wanted[counts], knots[1:][counts])
            if square is not None:
                points.append(Domination(slack, short_above(Fraction(square), DIGITS)))
    return Curve(tuple(points))


def _narrowest(wanted: Float64Array, ends: Float64Array) -> float | None:
    """Return a μ², nearly the least, with δ_μ(ends) ≥ wanted everywhere; ``None`` beyond ``_MAX_SQUARE``."""
    at = np.arange(0, wanted.size, max(1, wanted.size // _TRIED))
    while True:
        low, high = _MIN_SQUARE, _MAX_SQUARE
        if (delta_bounds(high, ends)[0] < wanted).any():
            return None
        for _ in range(_BISECTIONS):
            middle = math.sqrt(low * high)
            if (delta_bounds(middle, ends[at])[0] >= wanted[at]).all():
                high = middle
            else:
                low = middle
        # Some points decide; a look at all the others shows which.
        short = np.flatnonzero(delta_bounds(high, ends)[0] < wanted)
        if not short.size:
            return high
        at = np.union1d(at, short[:: max(1, short.size // _TRIED)])
