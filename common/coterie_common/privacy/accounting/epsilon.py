# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""ε of the rounds of one job, and the noise that a job needs for a given ε.

The aggregator calibrates, every party checks with the same ``epsilon_of``; nobody trusts another's ε.

- Discrete Gaussian noise on counts: the exact discrete privacy loss, composed over all planned rounds (see ``loss``).
- Discrete Gaussian noise on vectors, with or without sampled batches: the privacy loss of the Gaussian that it is
  post-processing of (see ``vector_loss``), or a bound by Rényi divergences if that is less, as where δ is too small for
  the former (see ``renyi``). Composed with that of counts.
- Discrete Laplace noise: pure ε, added up exactly; it also holds for every δ > 0.
- No noise: ε is infinite, and reported as such.

Everything that has no sound finite bound raises ``UnsupportedMechanism``. ε = 0 is returned for no events only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Final, Protocol

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.loss import classes_of, gaussian_epsilon
from coterie_common.privacy.accounting.renyi import renyi_bound
from coterie_common.privacy.accounting.vector_loss import vector_losses_of
from coterie_common.privacy.count_encoding import MAX_SCALE_BITS
from coterie_common.privacy.event import CountEvent, Event, VectorEvent
from coterie_common.privacy.exact import float_above
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit

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
"""``calibrate`` stops at an ε between 1 − this and 1 of the requested one,"""

_RESOLUTION: Final = 1.0002
"""or at a variance within this factor of one that is too small (where ε falls steeply)."""

_MAX_EPSILON: Final = 1000
"""Beyond this, nothing is private; placement ``none`` states that honestly."""

_ATTEMPTS: Final = 60


class Releases(Protocol):
    """What may be released besides the planned queries."""

    @property
    def events(self) -> Sequence[Event]:
        """One event per release."""
        ...


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
        # The other bound may still allow what it refuses, such as a δ too small for doubles; both are sound.
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
    spares: Callable[[Sequence[Event]], Releases] | None = None,
    repeated: Sequence[int] = (),
) -> tuple[CountEvent, ...]:
    """Choose the least noise with ``epsilon_of([*result, *spares(result)], delta) <= epsilon``, within 1 %.

    Unless ``factors`` state otherwise, every round costs the same: Gaussian noise has σ proportional to √l0·linf,
    Laplace noise costs ε/rounds each.

    Args:
        queries: (l0, linf) of every planned round.
        epsilon: ε > 0 of all rounds together.
        delta: 0 < δ < 1 where the mechanism needs one; ignored otherwise.
        mechanism: distribution of the noise.
        placement: who draws it; ``NONE`` gives events without noise, for any ε.
        shares: h, the number of guaranteed honest shares.
        min_share_stddev: minimum standard deviation of one share in scaled units; the scale is chosen for it.
        unit: unit of privacy of the queries.
        factors: per query > 0, the factor of its noise relative to others; all 1 if not given.
        spares: what may be released besides, because queries are asked again; nothing if not given.
        repeated: for each of ``spares`` the position of the most expensive query that it may repeat.

    Returns:
        One event per query; variances and ratios are short exact fractions, rounded towards more noise.

    Raises:
        UnsupportedMechanism: no such noise: ε or δ out of range or beyond the limits of sampler and accountant.
    """
    if not queries or min(min(query) for query in queries) < 1:
        raise UnsupportedMechanism(
            "noise is chosen for one or more queries that change one or more values by 1 or more"
        )
    kind = mechanism.terms
    if placement is Placement.NONE:
        none = kind.of(None, placement=placement, shares=shares)
        return tuple(CountEvent(l0=l0, linf=linf, scale_bits=0, noise=none, unit=unit) for l0, linf in queries)
    check_goal(epsilon, delta, mechanism)

    def scaled_event(l0: int, linf: int, size: Fraction) -> CountEvent:
        """Scale by the smallest power of two that makes a share wide enough. ``size``: of the noise, unscaled."""
        for scale_bits in range(MAX_SCALE_BITS + 1):
            noise = kind.chosen(size, scale_bits, placement=placement, shares=shares)
            if noise.share_variance >= min_share_stddev**2:
                return CountEvent(l0=l0, linf=linf, scale_bits=scale_bits, noise=noise, unit=unit)
        raise UnsupportedMechanism(f"no scale makes a noise share's standard deviation {min_share_stddev}")

    def events(sizes: Sequence[Fraction]) -> tuple[CountEvent, ...]:
        return tuple(scaled_event(l0, linf, size) for (l0, linf), size in zip(queries, sizes, strict=True))

    def search(sizes_at: Callable[[float], Sequence[Fraction]], guess: float) -> float:
        def all_events(square: float) -> Sequence[Event]:
            planned = events(sizes_at(square)[: len(queries)])
            return planned if spares is None else (*planned, *spares(planned).events)

        return least_noise(all_events, guess, epsilon, delta)

    wider = (Fraction(1),) * len(queries) if factors is None else factors
    again = [queries[position] for position in repeated], [wider[position] for position in repeated]
    sizes = kind.sizes([*queries, *again[0]], [*wider, *again[1]], epsilon, delta, search)
    return events(sizes[: len(queries)])


def check_goal(epsilon: Fraction, delta: Fraction, mechanism: Mechanism) -> None:
    """Raise ``UnsupportedMechanism`` where no noise of this kind can be chosen for (ε, δ)."""
    if not 0 < epsilon <= _MAX_EPSILON:
        raise UnsupportedMechanism(f"epsilon must be above 0 and at most {_MAX_EPSILON}, not {float(epsilon):.6g}")
    if mechanism.terms.needs_delta and not 0 < delta < 1:
        raise UnsupportedMechanism(f"{mechanism} noise needs a delta between 0 and 1")


def least_noise(
    events: Callable[[float], Sequence[Event]],
    guess: float,
    epsilon: Fraction,
    delta: Fraction,
    bound: Callable[[Sequence[Event], Fraction], float] = epsilon_of,
) -> float:
    """Search for the least variance per squared sensitivity.

    Args:
        events: makes events of a given variance.
        guess: start of the search.
        epsilon: maximum cost of the events.
        delta: at this δ.
        bound: their cost.

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
