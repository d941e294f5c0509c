# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Scale and noise of a job's rounds of vectors, for a given ε.

Every round gets the same noise multiplier σ/√S, S the squared sensitivity, but for its own ``noise_factor``. Its scale
is the least power of two at which

- rounding makes the sensitivity at most 1 % greater than the clipping norm, or ¼ % where each vector is rounded, which
  costs few bits;
- a noise share has at least the standard deviation asked for, so that the sum of shares is as good as one discrete
  Gaussian and, where the sum is padded, the share can be the pad's error;
- rounding adds at most 1 % to the variance of the noise.

Without noise the scale makes clipping norms 2^10·√d: rounding a vector moves it by at most a thousandth of that norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.epsilon import Releases, check_goal, epsilon_of, least_noise
from coterie_common.privacy.accounting.renyi import renyi_bound
from coterie_common.privacy.event import Event, VectorEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.privacy.vector_encoding import MIN_REAL_SCALE_BITS, Rounding, VectorEncoding
from coterie_common.privacy.vectors import check_clip_norm

_MAX_INFLATION: Final = {Rounding.EACH: 0.0025, Rounding.SUM: 0.01}
"""Of the sensitivity, by rounding."""

_ROUNDING_SHARE: Final = Fraction(1, 100)
"""Variance of all roundings, of that of the noise."""

_WITHOUT_NOISE: Final = 1 << 10
"""Clipping norm in scaled units, in √d."""

_MIN_FACTOR: Final = Fraction(1, 1 << 20)
"""Of a round's noise factor; the greatest is its inverse."""

_FIRST_GUESS: Final = 0.85
"""Sufficient variance relative to that of the Rényi bound: a first guess from the cheaper bound."""

_MAX_EACH: Final = 1 << 27
"""Numbers of one batch that are rounded one by one, some ten nanoseconds each; above, their sum is rounded once."""

_MAX_SUM_UNITS: Final = 1 << 20
"""Vectors that doubles add up with a relative error below 2^−12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorQuery:
    """One planned round of vectors, before scale and noise are known.

    Attributes:
        length: values of a vector.
        clip_norm: L2 norm to which one unit's vector is clipped.
        units: maximum number of vectors that one party can add up; 1 if the unit of privacy is a party.
        rounding: see ``choose_rounding``.
        sampling_rate: probability with which each record takes part, None: every record does.
        noise_factor: noise multiplier relative to the job's other rounds of vectors.

    Raises:
        UnsupportedMechanism: clipping norm or noise factor out of range.
    """

    length: int
    clip_norm: Fraction
    units: int
    rounding: Rounding
    sampling_rate: Fraction | None = None
    noise_factor: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        check_clip_norm(self.clip_norm)
        if not _MIN_FACTOR <= self.noise_factor <= 1 / _MIN_FACTOR:
            raise UnsupportedMechanism("a round's noise factor must be between 2^-20 and 2^20")

    @property
    def batch(self) -> Fraction:
        """Maximum number of vectors that one party adds up, on average."""
        return self.units * (Fraction(1) if self.sampling_rate is None else self.sampling_rate)

    @property
    def largest(self) -> Fraction:
        """The bound on values of one party's sum: the clipping norm times a batch that is never exceeded.

        A batch of mean m has more than m + 7√m + 17 records with a probability below 10^−10 (Bernstein). Even then,
        only a value to which all of them contributed their maximum is clamped; no record is left out.
        """
        batch = math.ceil(self.batch)
        return self.clip_norm * min(self.units, batch + 7 * math.isqrt(batch) + 24)

    def encoding(self, scale_bits: int) -> VectorEncoding:
        """Return the encoding at a scale.

        Raises:
            CapacityExceeded, UnsupportedMechanism: there is none.
        """
        bound = math.ceil(self.largest * Fraction(2) ** scale_bits)
        return VectorEncoding(
            length=self.length,
            clip_norm=self.clip_norm,
            scale_bits=scale_bits,
            rounding=self.rounding,
            units=self.units,
            lower=-bound,
            upper=bound,
        )


@dataclass(frozen=True, slots=True)
class VectorChoice:
    """The choices for one round: the encoding of vectors, and the event of the release, with its noise."""

    encoding: VectorEncoding
    event: VectorEvent


def choose_rounding(length: int, units: int, sampling_rate: Fraction | None) -> Rounding:
    """Return the rounding for vectors of this length and number: one by one unless that takes more than a second."""
    batch = units * (Fraction(1) if sampling_rate is None else sampling_rate)
    fast = 1 < units <= _MAX_SUM_UNITS and batch * length > _MAX_EACH
    return Rounding.SUM if fast else Rounding.EACH


def calibrate_vectors(
    queries: Sequence[VectorQuery],
    *,
    epsilon: Fraction,
    delta: Fraction,
    mechanism: Mechanism,
    placement: Placement,
    shares: int,
    unit: Unit,
    min_share_stddev: int,
    besides: Sequence[Event] = (),
    spares: Callable[[Sequence[Event]], Releases] | None = None,
) -> tuple[VectorChoice, ...]:
    """Choose scales and the least noise with ``epsilon_of([*besides, *events], delta) <= epsilon``, within 1 %.

    Args:
        queries: every planned round of vectors, at least one.
        epsilon: ε > 0 of all rounds together.
        delta: 0 < δ < 1.
        mechanism: distribution of the noise, with a bound for a change given by its norm.
        placement: who draws the noise; ``NONE`` gives events without noise, for any ε.
        shares: h, the number of guaranteed honest shares.
        unit: unit of privacy.
        min_share_stddev: minimum standard deviation of one share in scaled units: 4 if sealed directly, 64 if padded.
        besides: the job's other rounds, counts for example, whose noise is fixed.
        spares: what may be released besides, because queries are asked again, given the events of all queries.

    Returns:
        Terms of every query; variances are short exact fractions, rounded towards more noise.

    Raises:
        UnsupportedMechanism: no such noise: ε or δ out of range, ``besides`` cost too much, or beyond the accountant's
            limits.
        CapacityExceeded: no scale is fine enough.
    """
    if not queries:
        raise UnsupportedMechanism("noise is chosen for one or more rounds of vectors")
    if placement is Placement.NONE:
        noise = mechanism.terms.of(None, placement=placement, shares=shares)
        encodings = (query.encoding(_least_scale_bits(_WITHOUT_NOISE**2 * query.length, query)) for query in queries)
        return tuple(
            VectorChoice(encoding, encoding.event(noise, unit, query.sampling_rate))
            for encoding, query in zip(encodings, queries, strict=True)
        )
    check_goal(epsilon, delta, mechanism)
    if besides and not epsilon_of(besides, delta) < epsilon:
        raise UnsupportedMechanism(
            f"the job's other rounds leave nothing of epsilon = {float(epsilon):.6g} for vectors"
        )
    scales = {query: _fine_enough(query) for query in set(queries)}

    def terms(query: VectorQuery, square: float) -> VectorChoice:
        scale_bits = scales[query]
        while True:
            # Ends with CapacityExceeded when the norm no longer fits.
            encoding = query.encoding(scale_bits)
            size = Fraction(square) * query.noise_factor**2 * encoding.squared_sensitivity
            noise = mechanism.terms.chosen(size, 0, placement=placement, shares=shares)
            rounding = encoding.rounding_variance(query.batch / query.units)
            if noise.share_variance >= max(min_share_stddev**2, float(rounding / _ROUNDING_SHARE)):
                return VectorChoice(encoding, encoding.event(noise, unit, query.sampling_rate))
            scale_bits += 1

    def all_terms(square: float) -> tuple[VectorChoice, ...]:
        each = {query: terms(query, square) for query in scales}
        return tuple(each[query] for query in queries)

    def events(square: float) -> Sequence[Event]:
        planned = [chosen.event for chosen in all_terms(square)]
        return [*besides, *planned, *(() if spares is None else spares(planned).events)]

    guess = _FIRST_GUESS * least_noise(events, float(len(queries)), epsilon, delta, renyi_bound)
    return all_terms(least_noise(events, guess, epsilon, delta))


def _least_scale_bits(squared_norm: int, query: VectorQuery) -> int:
    """Return the least k with (clip_norm·2^k)² ≥ squared_norm."""
    target = squared_norm / query.clip_norm**2
    scale_bits = (target.numerator.bit_length() - target.denominator.bit_length()) // 2 - 1
    while Fraction(4) ** scale_bits < target:
        scale_bits += 1
    return max(scale_bits, MIN_REAL_SCALE_BITS)


def _fine_enough(query: VectorQuery) -> int:
    """Return the least k at which rounding makes the sensitivity little greater."""
    scale_bits = _least_scale_bits(query.length, query)
    while query.encoding(scale_bits).inflation > _MAX_INFLATION[query.rounding]:
        scale_bits += 1
    return scale_bits
