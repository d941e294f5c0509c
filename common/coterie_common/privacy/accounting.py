# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""ε of the rounds of one job, and the noise that a job needs for a given ε.

The aggregator calibrates, every party checks with the same ``epsilon_of``; nobody takes anybody's word for an ε.

- Discrete Gaussian noise on counts: the exact discrete privacy loss, composed over all planned rounds (see ``loss``).
- Discrete Gaussian noise on vectors, with or without sampled batches: the privacy loss of the Gaussian that it is
  post-processing of (see ``vector_loss``), or a bound by Rényi divergences if that is less, as where δ is too small for
  the former (see ``renyi``). Composed with that of counts.
- Discrete Laplace noise: pure ε, added up exactly; it also holds for every δ > 0.
- No noise: ε is infinite, and said to be.

Everything that has no sound finite bound raises ``UnsupportedMechanism``. ε = 0 is returned for no events only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Final

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.encoding import SCALE_BITS_MOST
from coterie_common.privacy.event import CountEvent, Event, VectorEvent
from coterie_common.privacy.exact import float_above, short_above, short_below
from coterie_common.privacy.loss import classes_of, gaussian_epsilon
from coterie_common.privacy.noise import Mechanism, NoiseTerms, Placement, Unit
from coterie_common.privacy.renyi import renyi_bound
from coterie_common.privacy.sampling import RATIO_FEWEST
from coterie_common.privacy.vector_loss import vector_losses_of

__all__ = [
    "CountEvent",
    "Event",
    "VectorEvent",
    "calibrate",
    "check_goal",
    "epsilon_of",
    "least_noise",
]

_TIGHTNESS: Final = 0.002
"""``calibrate`` stops at an ε between 1 − this and 1 of what was asked,"""

_RESOLUTION: Final = 1.0002
"""or at a variance within this factor of one that is too small (where ε falls steeply)."""

_MARGIN: Final = 1 - Fraction(1, 10**6)
"""Left of a pure ε, so that it stays below the limit also as a double."""

_DIGITS: Final = 5
"""Significant digits of a calibrated parameter: a document stays readable, and 10^−4 of the noise is lost at most."""

_EPSILON_MOST: Final = 1000
"""Beyond, nothing is private; placement ``none`` says so honestly."""

_ATTEMPTS: Final = 60


def epsilon_of(events: Sequence[Event], delta: Fraction) -> float:
    """Return an upper bound of the ε at which all events together are (ε, δ)-differentially private.

    Args:
        events: every release of a job, all for one unit of privacy; 0 is returned if there are none.
        delta: 0 ≤ δ < 1, δ > 0 with Gaussian noise.

    Returns:
        ε; infinite if a release has no noise.

    Raises:
        UnsupportedMechanism: there is no sound finite bound: δ too small, shares too small, different units.

    Privacy: adaptive composition; the noise of all rounds must have been fixed before the first.
    """
    if not 0 <= delta < 1:
        raise UnsupportedMechanism(f"delta must be at least 0 and below 1, not {float(delta):.6g}")
    if len({event.unit for event in events}) > 1:
        raise UnsupportedMechanism("releases for different units of privacy have no common epsilon")
    if not all(event.is_protected for event in events):
        return math.inf
    pure = sum((event.pure_epsilon for event in events), Fraction(0))
    if all(event.gaussian_variance is None for event in events):
        return float_above(pure)
    if delta == 0:
        raise UnsupportedMechanism("discrete Gaussian noise has no finite epsilon at delta = 0")
    if not any(isinstance(event, VectorEvent) for event in events):
        return float_above(pure + Fraction(gaussian_epsilon(classes_of(events), float(delta))))
    bound = renyi_bound(events, delta)
    vectors = vector_losses_of(events)
    if vectors is not None:
        # What it refuses, such as a δ too small for doubles, the other bound may still allow; both are sound.
        with suppress(UnsupportedMechanism):
            loss = gaussian_epsilon([*classes_of(events), *vectors], float(delta))
            bound = min(bound, float_above(pure + Fraction(loss)))
    return bound


def calibrate(
    queries: Sequence[tuple[int, int]],
    *,
    epsilon: Fraction,
    delta: Fraction,
    mechanism: Mechanism,
    placement: Placement,
    shares: int,
    min_share_stddev: int = 4,
    unit: Unit = Unit.RECORD,
    factors: Sequence[Fraction] | None = None,
) -> tuple[CountEvent, ...]:
    """Choose the least noise with ``epsilon_of(result, delta) <= epsilon``, within 1 %.

    Unless ``factors`` say otherwise, every round costs the same: Gaussian noise has σ proportional to √l0·linf, Laplace
    noise costs ε/rounds each.

    Args:
        queries: (l0, linf) of every planned round.
        epsilon: ε > 0 of all rounds together.
        delta: 0 < δ < 1 for Gaussian noise; Laplace noise ignores it.
        mechanism: distribution of the noise.
        placement: who draws it; ``NONE`` gives events without noise, whatever ε is.
        shares: h, honest shares that are guaranteed.
        min_share_stddev: least standard deviation of one share in scaled units; the scale is chosen for it.
        unit: unit of privacy of the queries.
        factors: per query > 0, how much more noise it gets than others; all 1 if not given.

    Returns:
        One event per query; variances and ratios are short exact fractions, rounded towards more noise.

    Raises:
        UnsupportedMechanism: no such noise: ε or δ out of range or beyond what sampler and accountant can do.
    """
    if not queries or min(min(query) for query in queries) < 1:
        raise UnsupportedMechanism(
            "noise is chosen for one or more queries that change one or more values by 1 or more"
        )
    if placement is Placement.NONE:
        noise = NoiseTerms(mechanism=mechanism, placement=placement, shares=shares)
        return tuple(CountEvent(l0=l0, linf=linf, scale_bits=0, noise=noise, unit=unit) for l0, linf in queries)
    check_goal(epsilon, delta, mechanism)

    def event(l0: int, linf: int, scale_bits: int, size: Fraction) -> CountEvent:
        gaussian = mechanism is Mechanism.DISCRETE_GAUSSIAN
        noise = NoiseTerms(
            mechanism=mechanism,
            placement=placement,
            variance=short_above(size * 4**scale_bits, _DIGITS) if gaussian else None,
            ratio=None if gaussian else short_below(size / 2**scale_bits, _DIGITS),
            shares=shares,
        )
        return CountEvent(l0=l0, linf=linf, scale_bits=scale_bits, noise=noise, unit=unit)

    def scaled_event(l0: int, linf: int, size: Fraction) -> CountEvent:
        """Scale by the least power of two that makes a share wide enough. ``size``: unscaled variance or ratio."""
        for scale_bits in range(SCALE_BITS_MOST + 1):
            scaled = event(l0, linf, scale_bits, size)
            if scaled.noise.share_variance >= min_share_stddev**2:
                return scaled
        raise UnsupportedMechanism(f"no scale makes a noise share's standard deviation {min_share_stddev}")

    wider = (Fraction(1),) * len(queries) if factors is None else factors
    if mechanism is Mechanism.DISCRETE_LAPLACE:
        whole = epsilon * _MARGIN / sum(1 / factor for factor in wider)
        for (l0, linf), factor in zip(queries, wider, strict=True):
            _check_pure(l0, linf, whole / factor, epsilon)
        return tuple(
            scaled_event(l0, linf, whole / (factor * l0 * linf))
            for (l0, linf), factor in zip(queries, wider, strict=True)
        )

    def events(square: float) -> tuple[CountEvent, ...]:
        return tuple(
            scaled_event(l0, linf, Fraction(square) * factor**2 * l0 * linf**2)
            for (l0, linf), factor in zip(queries, wider, strict=True)
        )

    guess = float(sum(1 / factor**2 for factor in wider)) / _gaussian_multiplier(float(epsilon), float(delta)) ** 2
    return events(least_noise(events, guess, epsilon, delta))


def _check_pure(l0: int, linf: int, share: Fraction, epsilon: Fraction) -> None:
    """Refuse, in words that a person can act on, a round whose Laplace noise would be wider than can be drawn."""
    # A ratio is rounded down in its last digit.
    reachable = int(share / RATIO_FEWEST * (1 - Fraction(1, 10 ** (_DIGITS - 1))))
    if l0 * linf > reachable:
        coarser = f", for coarser ones (statistics: steps = {reachable // l0} or fewer)" if reachable >= l0 else ""
        raise UnsupportedMechanism(
            f"discrete-laplace noise for epsilon = {float(epsilon):.4g} is too wide to be drawn: a record changes the "
            f"values of a round by {l0 * linf} in all, at most {reachable} is possible. Ask for fewer values{coarser}, "
            "for more epsilon, or take discrete-gaussian"
        )


def check_goal(epsilon: Fraction, delta: Fraction, mechanism: Mechanism) -> None:
    """Raise ``UnsupportedMechanism`` where no noise of this kind can be chosen for (ε, δ)."""
    if not 0 < epsilon <= _EPSILON_MOST:
        raise UnsupportedMechanism(f"epsilon must be above 0 and at most {_EPSILON_MOST}, not {float(epsilon):.6g}")
    if mechanism is Mechanism.DISCRETE_GAUSSIAN and not 0 < delta < 1:
        raise UnsupportedMechanism("discrete Gaussian noise needs a delta between 0 and 1")


def least_noise(
    events: Callable[[float], Sequence[Event]],
    guess: float,
    epsilon: Fraction,
    delta: Fraction,
    bound: Callable[[Sequence[Event], Fraction], float] = epsilon_of,
) -> float:
    """Search for the least variance per squared sensitivity.

    Args:
        events: makes events of such a variance.
        guess: where to begin.
        epsilon: most that the events may cost.
        delta: at this δ.
        bound: what they cost.

    Returns:
        A variance per squared sensitivity for which ``bound`` is at most ``epsilon``.

    Raises:
        UnsupportedMechanism: none found.
    """
    square, too_little, enough = guess, 0.0, math.inf
    for _ in range(_ATTEMPTS):
        reached = bound(events(square), delta)
        if reached <= epsilon:
            enough = square
            if reached >= epsilon * (1 - _TIGHTNESS):
                return enough
        else:
            too_little = square
        if enough <= too_little * _RESOLUTION:
            return enough
        if enough < math.inf and too_little > 0:
            square = math.sqrt(too_little * enough)
        else:
            # ε falls with the standard deviation to a power between 1 and 2: this converges for both.
            square *= min(4.0, max(0.25, (reached / float(epsilon) / (1 - _TIGHTNESS / 2)) ** 1.5))
    raise UnsupportedMechanism(f"no noise found for epsilon = {float(epsilon):.6g}, delta = {float(delta):.6g}")


def _gaussian_multiplier(epsilon: float, delta: float) -> float:
    """Return μ, the distance in standard deviations at which the continuous Gaussian mechanism is (ε, δ)-private.

    Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", 2018. Only a first guess here.
    """
    from scipy.special import log_ndtr

    low, high = 1e-12, 1e6
    for _ in range(100):
        mu = math.sqrt(low * high)
        reached = math.exp(log_ndtr(mu / 2 - epsilon / mu)) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
        low, high = (mu, high) if reached <= delta else (low, mu)
    return low
