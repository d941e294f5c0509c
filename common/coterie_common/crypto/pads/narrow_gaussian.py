# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The narrow discrete Gaussian of the pad: P(x) ∝ exp(−x²/2σ²), σ = 6.4, on the integers from −B to B.

A value is looked up: a uniform 128-bit number u picks the x with c(x−1) ≤ u < c(x), where c(x) is P(X ≤ x)·2^128
rounded to an integer, mirrored around 0. The highest 16 bits of u nearly always decide; where they do not (in one draw
of a thousand), the other 112 are drawn and compared.

**Statistical distance** to the distribution above, per value: c(x) is off by at most 1/2 (computed with 60 digits), so
every probability by at most 2^−128, and the distance is at most (2B + 1)/2 · 2^−128 < 2^−121 for B < 128. Cutting at ±B
is apart from that: P(|X| > 64) < 2^−75, so 2,048 values are at distance 2^−64 from uncut ones; P(|X| > 96) < 2^−160.

Not for privacy noise, which has any variance and is exact (``privacy.sampling``).
"""

from __future__ import annotations

import decimal
from bisect import bisect_right
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from coterie_common.randomness import RandomSource

VARIANCE: Final = Fraction(4096, 100)
"""σ² for σ = 6.4."""

Int8Array = npt.NDArray[np.int8]

_PRECISION_BITS: Final = 128
_CELL_BITS: Final = 16
_FURTHER_BITS: Final = _PRECISION_BITS - _CELL_BITS
_UNDECIDED: Final = -128
_DIGITS: Final = 60


class NarrowGaussian:
    """Draws independent values from −``bound`` to ``bound``; see the module. Make it with ``narrow_gaussian``."""

    def __init__(self, bound: int) -> None:
        """Make the tables: some milliseconds and 64 KiB. ``bound`` is below 128."""
        self._bound: Final = bound
        self._thresholds: Final = _thresholds(bound)
        cells = np.full(1 << _CELL_BITS, _UNDECIDED, dtype=np.int8)
        lower = 0
        for value, upper in zip(range(-bound, bound + 1), self._thresholds, strict=True):
            # The cells wholly within the value's numbers.
            cells[-(-lower >> _FURTHER_BITS) : upper >> _FURTHER_BITS] = value
            lower = upper
        self._cells: Final = cells

    def draw(self, count: int, random: RandomSource) -> Int8Array:
        """Return Int8[count]. Takes two random bytes per value, and 14 more for one in a thousand."""
        words = np.frombuffer(random.token_bytes(2 * count), dtype="<u2")
        values: Int8Array = self._cells.take(words)
        for position in np.flatnonzero(values == _UNDECIDED):
            number = (int(words[position]) << _FURTHER_BITS) | random.randbits(_FURTHER_BITS)
            values[position] = bisect_right(self._thresholds, number) - self._bound
        return values


@cache
def narrow_gaussian(bound: int) -> NarrowGaussian:
    """Return the sampler for −``bound`` to ``bound``; its tables are made once."""
    return NarrowGaussian(bound)


def _thresholds(bound: int) -> tuple[int, ...]:
    """Return c(−bound), …, c(bound); the last is 2^128."""
    context = decimal.Context(prec=_DIGITS, rounding=decimal.ROUND_HALF_EVEN)
    factor = context.divide(Decimal(-VARIANCE.denominator), Decimal(2 * VARIANCE.numerator))
    weights = [context.exp(context.multiply(Decimal(x * x), factor)) for x in range(bound + 1)]
    below = list(accumulate(reversed(weights[1:]), context.add))  # Σ of the weights from −bound to −bound, …, −1
    total = context.add(context.add(below[-1], below[-1]), weights[0])
    maximum = 1 << _PRECISION_BITS
    lower = [
        int(context.multiply(context.divide(mass, total), Decimal(maximum)).to_integral_value(decimal.ROUND_HALF_EVEN))
        for mass in below
    ]
    # P(X ≤ x) = 1 − P(X ≤ −x − 1): exactly symmetric, regardless of rounding.
    return (*lower, *(maximum - threshold for threshold in reversed(lower)), maximum)
