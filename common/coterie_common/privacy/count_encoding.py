# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Integers with declared bounds, scaled by a power of two so that integer noise is fine enough.

A party's exact values are clamped to [lower, upper] *before* noise is added, never after: clamping noisy values would
bias the sum and void the tail bound. Sensitivity and noise are scaled along, so the scale changes neither privacy nor
accuracy; it only makes a share's standard deviation large enough for the sum of shares to be as good as one discrete
Gaussian.

Not here: clipping vectors by their norm, and rounding real values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from coterie_common.errors import CapacityExceeded, PlaintextOutOfRange
from coterie_common.fields import Fields
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.privacy.strips import Float64Array, Int64Array

MAX_SCALE_BITS: Final = 40

_RANGE_BITS: Final = 62
"""One contribution, noise included, is within ±2^62; the packing checks the range of the sum."""

_MAX_LENGTH: Final = 1 << 40
"""Far beyond memory: only keeps arithmetic on a peer's number cheap."""

_FIELDS: Final = ("length", "scale_bits", "lower", "upper")


@dataclass(frozen=True, slots=True, kw_only=True)
class CountEncoding:
    """The mapping of a vector of integers to the integers that are summed.

    Attributes:
        length: number of values, ≥ 1.
        scale_bits: k, values are multiplied by 2^k; 0 to ``MAX_SCALE_BITS``.
        lower: minimum value of one party's exact vector, unscaled.
        upper: maximum, ≥ lower.

    Raises:
        CapacityExceeded: a scaled bound does not fit.
    """

    length: int
    scale_bits: int
    lower: int
    upper: int

    def __post_init__(self) -> None:
        if self.length < 1 or not 0 <= self.scale_bits <= MAX_SCALE_BITS or self.lower > self.upper:
            raise CapacityExceeded(
                f"no encoding of {self.length} values in [{self.lower}, {self.upper}] times 2^{self.scale_bits}"
            )
        self._check_range(self.lower << self.scale_bits, self.upper << self.scale_bits)

    @staticmethod
    def _check_range(lower: int, upper: int) -> None:
        if max(-lower, upper) >= 1 << _RANGE_BITS:
            raise CapacityExceeded(f"one reply's values with noise in [{lower}, {upper}] exceed {_RANGE_BITS} bits")

    def encode(self, values: Int64Array) -> Int64Array:
        """Clamp to the bounds, then scale.

        Args:
            values: Int64[length], a party's exact values.

        Raises:
            PlaintextOutOfRange: another shape, or not integers.
        """
        if values.shape != (self.length,) or values.dtype != np.int64:
            raise PlaintextOutOfRange(
                f"expected {self.length} 64-bit integers, got {values.dtype} of shape {values.shape}"
            )
        return np.clip(values, self.lower, self.upper) << self.scale_bits

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
        lower, upper = (self.lower << self.scale_bits) - tail, (self.upper << self.scale_bits) + tail
        self._check_range(lower, upper)
        return lower, upper

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; every encoding has exactly one document."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_document(cls, document: Any) -> CountEncoding:
        """Parse the output of ``to_document``.

        Raises:
            MalformedMessage: not such a document.
            CapacityExceeded: well formed, but no possible encoding.
        """
        fields = Fields(document, "an encoding", _FIELDS)
        return cls(
            length=fields.integer("length", minimum=1, maximum=_MAX_LENGTH),
            scale_bits=fields.integer("scale_bits", minimum=0, maximum=MAX_SCALE_BITS),
            lower=fields.integer("lower", minimum=-(1 << _RANGE_BITS), maximum=1 << _RANGE_BITS),
            upper=fields.integer("upper", minimum=-(1 << _RANGE_BITS), maximum=1 << _RANGE_BITS),
        )


def unscaled(total: Int64Array, scale_bits: int) -> Float64Array:
    """Return scaled integers, such as a piece of a sum, divided by 2^scale_bits, Float64; exact below 2^53."""
    return np.ldexp(total.astype(np.float64), -scale_bits)
