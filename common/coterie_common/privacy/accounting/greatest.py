# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One release that is at least as costly as each of several: the price at which spare rounds are reserved.

Which step of a plan a spare round will repeat is decided while the job runs, perhaps after results were seen. If one
pair of distributions dominates the releases of all steps, it dominates whichever is chosen, also under adaptive
composition; so as many copies of it as there are spare rounds cover every choice.

- Of releases with the same noise, one that a unit changes in every respect at least as much dominates the others: their
  neighbours are among its own.
- Otherwise Gaussian releases with the same sampling rate get one that is dominated by no Gaussian pair narrower than
  any of theirs: μ*² is the greatest of the μ² = D²/(V − 3) or S/(σ² − 3) of ``dominating``, steps 1 and 3, and its
  divergence T is at least theirs. It is stated as a vector of squared norm μ*²·v with noise of variance v, so that both
  μ² = S/(v − 3) and the Rényi divergences, in S/v, are at least as great.
- Of releases with a pure ε, one with the greatest ε that changes the fewest values: see ``gaussian_dp``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.dominating import dominates_alone
from coterie_common.privacy.accounting.vector_loss import (
    SMOOTHING_DIVERGENCE,
    SMOOTHING_VARIANCE,
    share_divergence,
)
from coterie_common.privacy.event import MAX_LENGTH, MAX_SQUARED_NORM, CountEvent, Event, VectorEvent
from coterie_common.privacy.exact import short_below

_VARIANCE: Final = 1 << 50
"""Of the stated noise: wide enough that all that depends on single integers vanishes."""

_DIGITS: Final = 12


def greatest(events: Sequence[Event]) -> Event:
    """Return an event that is at least as costly as each of ``events``.

    Args:
        events: at least one, of one unit, mechanism, placement and sampling rate.

    Raises:
        UnsupportedMechanism: there is too little noise for a proven bound.
    """
    # A plan repeats one object thousands of times; hashing fractions takes longer than comparing ids.
    different = tuple(dict.fromkeys({id(event): event for event in events}.values()))
    for event in different:
        if all(_contains(event, other) for other in different):
            return event
    if not different[0].is_protected:
        return different[0]
    return _gaussian(different) if different[0].gaussian_variance is not None else _pure(different)


def _contains(event: Event, other: Event) -> bool:
    if event.noise != other.noise or event.unit is not other.unit:
        return False
    if isinstance(event, CountEvent) and isinstance(other, CountEvent):
        return event.scale_bits == other.scale_bits and event.l0 >= other.l0 and event.linf >= other.linf
    if isinstance(event, VectorEvent) and isinstance(other, VectorEvent):
        greater = event.length >= other.length and event.squared_sensitivity >= other.squared_sensitivity
        return greater and event.rate == other.rate
    return False


def _gaussian(events: Sequence[Event]) -> VectorEvent:
    pairs = [_pair(event) for event in events]
    square, divergence = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
    norm = min(MAX_SQUARED_NORM, math.ceil(_VARIANCE * square))
    first = events[0]
    noise = first.noise.of(
        short_below(norm / square, _DIGITS), placement=first.noise.placement, shares=first.noise.shares
    )
    rate = first.sampling_rate if isinstance(first, VectorEvent) else None
    length = max(1, *(event.length for event in events if isinstance(event, VectorEvent)), 1)
    while length <= MAX_LENGTH:
        stated = VectorEvent(length=length, squared_sensitivity=norm, noise=noise, unit=first.unit, sampling_rate=rate)
        reached = _pair(stated)
        if reached[0] >= square and reached[1] >= divergence:
            return stated
        length *= 2
    raise UnsupportedMechanism("no release dominates all steps of the plan: too little noise")


def _pair(event: Event) -> tuple[Fraction, Fraction]:
    """Return μ² of an event with Gaussian noise, and the divergence from the pair."""
    if isinstance(event, VectorEvent) and event.rate != 1:
        variance = (event.gaussian_variance or Fraction(0)) - SMOOTHING_VARIANCE
        if variance < SMOOTHING_VARIANCE:
            raise UnsupportedMechanism("no release dominates all steps of the plan: too little noise")
        apart = share_divergence(event) + event.length * SMOOTHING_DIVERGENCE
        return event.squared_sensitivity / variance, Fraction(apart)
    pair = dominates_alone(event)
    if pair is None:
        raise UnsupportedMechanism("no release dominates all steps of the plan: too little noise")
    return pair.squared_distance, pair.slack


def _pure(events: Sequence[Event]) -> CountEvent:
    counts = [event for event in events if isinstance(event, CountEvent)]
    fewest, epsilon = min(event.l0 for event in counts), max(event.pure_epsilon for event in counts)
    first = counts[0]
    noise = first.noise.of(epsilon / fewest, placement=first.noise.placement, shares=first.noise.shares)
    return replace(first, l0=fewest, linf=1, scale_bits=0, noise=noise)
