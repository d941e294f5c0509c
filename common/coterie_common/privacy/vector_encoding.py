# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Real vectors of bounded norm as integers: clipped, multiplied by 2^k, rounded stochastically, added up, clamped.

The norm of the change that one vector more or less makes to a party's sum; c is the clipping norm times 2^k, d the
number of values:

- ``Rounding.EACH``: every vector is rounded by itself, on condition that its integers' squared norm is at most
  ``conditional_bound``. Integers add up without error, so that is the squared sensitivity, regardless of the rounding.
- ``Rounding.SUM``: clipped vectors are added up in doubles, and the sum is rounded once. Both errors change the
  difference of two sums: c·(1 + e) + √d, with e the ``summation_error``; see ``rounding`` for √d. Faster, but more
  sensitive at the same scale.

With a fine enough scale, either is c and little more. The integer sum is clamped to [lower, upper] before noise is
added, never after; clamping moves no two sums further apart.

Sensitivities are computed in exact arithmetic: every party derives the same integer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

import numpy as np

from coterie_common.errors import CapacityExceeded, MalformedMessage, PlaintextOutOfRange, UnsupportedMechanism
from coterie_common.fields import Fields
from coterie_common.privacy.conditional_rounding import conditional_bound, round_blocks, round_rows
from coterie_common.privacy.count_encoding import unscaled
from coterie_common.privacy.event import MAX_LENGTH, VectorEvent
from coterie_common.privacy.exact import fraction_from_text, fraction_to_text, sqrt_above
from coterie_common.privacy.noise.mechanisms import NoiseTerms, Unit
from coterie_common.privacy.rounding import round_stochastically
from coterie_common.privacy.strips import Float64Array, Int64Array
from coterie_common.privacy.vectors import (
    TILE,
    Rows,
    check_clip_norm,
    check_count,
    check_shape,
    clip_and_sum,
    clip_factors,
    squared_norms,
    summation_error,
    tiles,
)
from coterie_common.randomness import RandomSource

MIN_REAL_SCALE_BITS: Final = -64
MAX_REAL_SCALE_BITS: Final = 96
"""Clipping norms are within 2^±64, and one is never more than 2^31 units long."""

MAX_UNITS: Final = 1 << 31

_NORM_BITS: Final = 31
"""A rounded vector's norm is below 2^31: its square fits 62 bits, and so does the sum of 2^31 such vectors."""

_SUM_BITS: Final = 52
"""Sums that are rounded once are held in doubles, with at least a binary place left for their fractions."""

_RANGE_BITS: Final = 62
"""One contribution, noise included, is within ±2^62; the sealing checks the range of the sum."""

_FIELDS: Final = ("length", "clip_norm", "scale_bits", "rounding", "units", "lower", "upper")


class Rounding(StrEnum):
    """The rounding: of each vector, or once of the sum of a party's clipped vectors."""

    EACH = "each"
    SUM = "sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorEncoding:
    """The mapping of a party's real vectors to the integers that are summed.

    Attributes:
        length: d ≥ 1, values of a vector.
        clip_norm: L2 norm to which one unit's vector is clipped, unscaled.
        scale_bits: k, values are multiplied by 2^k.
        rounding: of each vector or of the sum; a single vector is always rounded by itself.
        units: maximum number of vectors that one party can add up; 1 if the unit of privacy is a party.
        lower: ≤ 0, minimum value of one party's sum, in scaled units.
        upper: ≥ 0, maximum.

    Raises:
        CapacityExceeded: a number is out of range.
        UnsupportedMechanism: the clipping norm is out of range.
    """

    length: int
    clip_norm: Fraction
    scale_bits: int
    rounding: Rounding
    units: int
    lower: int
    upper: int

    def __post_init__(self) -> None:
        check_clip_norm(self.clip_norm)
        if (
            not 1 <= self.length <= MAX_LENGTH
            or not MIN_REAL_SCALE_BITS <= self.scale_bits <= MAX_REAL_SCALE_BITS
            or not (1 if self.rounding is Rounding.EACH else 2) <= self.units <= MAX_UNITS
            or not self.lower <= 0 <= self.upper
            or self.lower == self.upper
        ):
            raise CapacityExceeded(
                f"no encoding of up to {self.units} vectors of {self.length} reals times 2^{self.scale_bits}, rounded "
                f"{self.rounding}, with sums in [{self.lower}, {self.upper}]"
            )
        _check_range(self.lower, self.upper)
        if self.squared_sensitivity >= 1 << 2 * _NORM_BITS:
            raise CapacityExceeded(
                f"vectors of norm {float(self.clip_norm):.6g} times 2^{self.scale_bits} exceed {_NORM_BITS} bits"
            )
        if self.rounding is Rounding.SUM and self.units * self.scaled_norm >= 1 << _SUM_BITS:
            raise CapacityExceeded(
                f"the sum of {self.units} vectors of norm {float(self.clip_norm):.6g} times 2^{self.scale_bits} does "
                "not fit a double: round each of them"
            )

    @property
    def scaled_norm(self) -> Fraction:
        """c: the clipping norm in scaled units."""
        return self.clip_norm * Fraction(2) ** self.scale_bits

    @property
    def squared_sensitivity(self) -> int:
        """Maximum squared norm of a unit's change to the sum, in scaled units."""
        if self.rounding is Rounding.EACH:
            return conditional_bound(self.scaled_norm, self.length)
        whole = self.scaled_norm * (1 + summation_error(self.units)) + sqrt_above(Fraction(self.length))
        return math.floor(whole**2)

    @property
    def inflation(self) -> float:
        """Excess of the sensitivity over the clipping norm because of rounding, relative to that norm; at least 0."""
        return max(0.0, math.sqrt(self.squared_sensitivity / self.scaled_norm**2) - 1)

    def rounding_variance(self, rate: Fraction) -> Fraction:
        """Return the maximum variance that rounding adds to a value of one party's sum, at this sampling rate."""
        return (self.units * rate if self.rounding is Rounding.EACH else 1) * Fraction(1, 4)

    def event(self, noise: NoiseTerms, unit: Unit, sampling_rate: Fraction | None) -> VectorEvent:
        """Return the event of a round with this encoding, for its cost.

        Raises:
            UnsupportedMechanism: no bound for this combination.
        """
        if unit is Unit.PARTY and self.units != 1:
            raise UnsupportedMechanism(f"where a party's reply is protected it is one vector, not {self.units}")
        return VectorEvent(
            length=self.length,
            squared_sensitivity=self.squared_sensitivity,
            noise=noise,
            unit=unit,
            sampling_rate=sampling_rate,
        )

    def encode(self, batches: Iterable[Rows], random: RandomSource) -> Int64Array:
        """Encode the sum of a party's vectors.

        Args:
            batches: Float32[n, length] or Float64[n, length], one vector per row; any number of batches, of any n.
            random: source of the rounding.

        Returns:
            Int64[length] within [lower, upper].

        Raises:
            VectorsNotFinite: names the first row that cannot be clipped, counted over all batches.
            WrongVectorShape: rows of another length or type, or more than ``units``.

        Privacy: another row more or less changes the result by a vector of squared norm at most
            ``squared_sensitivity``. Batches are never cut short.
        """
        if self.rounding is Rounding.SUM:
            total = clip_and_sum(batches, self.clip_norm, length=self.length, maximum=self.units)
            return self._clamp(round_stochastically(np.ldexp(total, self.scale_bits), random))
        sums = np.zeros(self.length, dtype=np.int64)
        bound = self.squared_sensitivity
        count = 0
        for rows in batches:
            check_shape(rows, self.length)
            check_count(count + len(rows), self.units)
            factors = self._factors(rows, count)
            count += len(rows)
            if self.length > TILE:
                for row, factor in zip(rows, factors, strict=True):
                    start = 0
                    for block in round_blocks(row[np.newaxis], float(factor), bound, TILE, random):
                        sums[start : start + len(block)] += block
                        start += len(block)
            else:
                for several, _ in tiles(rows):
                    scaled = rows[several] * factors[several, np.newaxis]
                    sums += round_rows(scaled, bound, random).sum(axis=0)
        return self._clamp(sums)

    def encode_blocks(self, row: Rows, random: RandomSource, size: int = TILE) -> Iterator[Int64Array]:
        """Encode the only vector of a party piece by piece, so that all its integers are never in memory together.

        Args:
            row: Float32[1, length] or Float64[1, length].
            random: source of the rounding.
            size: values of each piece but the last.

        Returns:
            An iterator of Int64[≤ size] within [lower, upper], together one result of ``encode``.

        Raises:
            VectorsNotFinite, WrongVectorShape: before the first piece.
        """
        check_shape(row, self.length)
        check_count(len(row), 1)
        factor = float(self._factors(row, 0)[0])
        return map(self._clamp, round_blocks(row, factor, self.squared_sensitivity, size, random))

    def _factors(self, rows: Rows, first_row: int) -> Float64Array:
        """Return the factors that clip and scale rows; the power of two rounds nothing."""
        factors = clip_factors(squared_norms(rows, first_row), self.length, self.clip_norm)
        return np.ldexp(factors, self.scale_bits)

    def _clamp(self, sums: Int64Array) -> Int64Array:
        return np.clip(sums, self.lower, self.upper, out=sums)

    def decode(self, total: Int64Array) -> Float64Array:
        """Return the released sum in unscaled units, Float64[length]; exact below 2^53.

        Raises:
            PlaintextOutOfRange: another shape, or not integers.
        """
        if total.shape != (self.length,) or total.dtype != np.int64:
            raise PlaintextOutOfRange(
                f"expected a sum of {self.length} 64-bit integers, got {total.dtype} of shape {total.shape}"
            )
        return unscaled(total, self.scale_bits)

    def contribution_range(self, noise: NoiseTerms) -> tuple[int, int]:
        """Return (minimum, maximum) scaled value of one contribution, except with probability 2^−128 per value.

        Raises:
            CapacityExceeded: it does not fit 62 bits.
        """
        tail = noise.share_tail()
        _check_range(self.lower - tail, self.upper + tail)
        return self.lower - tail, self.upper + tail

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; every encoding has exactly one document."""
        document: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        return document | {"clip_norm": fraction_to_text(self.clip_norm), "rounding": self.rounding.value}

    @classmethod
    def from_document(cls, document: Any) -> VectorEncoding:
        """Parse the output of ``to_document``.

        Raises:
            MalformedMessage: not such a document.
            CapacityExceeded, UnsupportedMechanism: well formed, but no possible encoding.
        """
        fields = Fields(document, "an encoding of reals", _FIELDS)
        try:
            rounding = Rounding(fields.text("rounding", longest=32))
        except ValueError as cause:
            raise MalformedMessage("an encoding of reals names an unknown rounding") from cause
        return cls(
            length=fields.integer("length", minimum=1, maximum=MAX_LENGTH),
            clip_norm=fraction_from_text(fields.value("clip_norm"), "clip_norm"),
            scale_bits=fields.integer("scale_bits", minimum=MIN_REAL_SCALE_BITS, maximum=MAX_REAL_SCALE_BITS),
            rounding=rounding,
            units=fields.integer("units", minimum=1, maximum=MAX_UNITS),
            lower=fields.integer("lower", minimum=-(1 << _RANGE_BITS), maximum=0),
            upper=fields.integer("upper", minimum=0, maximum=1 << _RANGE_BITS),
        )


def _check_range(lower: int, upper: int) -> None:
    if max(-lower, upper) >= 1 << _RANGE_BITS:
        raise CapacityExceeded(f"one reply's values with noise in [{lower}, {upper}] exceed {_RANGE_BITS} bits")
