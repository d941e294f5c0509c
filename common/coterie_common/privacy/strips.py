# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Exact sampling from a non-increasing density on 0, 1, 2, …, vectorised.

Given g with g(0) ≥ g(1) ≥ … and finite sum, ``StripSampler`` returns x with probability exactly g(x) / Σ g, provided
that the random source is uniform. It draws candidates and accepts each with a probability that is decided exactly.

**Candidates.** The integers 0 … L−1 are cut into strips; strip j starts at s_j and is W_j wide, a power of two. The
rest, from L on, is the *tail*. One table of 2^16 cells belongs to the strips: strip j owns exactly w_j cells, the tail
w_T, and the remaining cells reject. All weights are integers with, for one constant M > 0,

    w_j ≥ M·g(s_j)·W_j          w_T ≥ 2·M·g(L)·T          Σ w_j + w_T ≤ 2^16

where T is a power of two with g(x+T) ≤ g(x)/2 for every x ≥ L. A uniform cell picks the strip; in a strip W_j-uniform
bits pick the integer; in the tail a block number i with probability 2^−(i+1) is tossed with fair coins, and T-uniform
bits pick x in [L+iT, L+(i+1)T). Then x is accepted with probability

    strip j: p(x) = M·g(x)·W_j / w_j          tail: p(x) = M·g(x)·T·2^(i+1) / w_T.

**Why this is exact.** Both are at most 1: g(x) ≤ g(s_j) in strip j, and g(x) ≤ g(L+iT) ≤ g(L)·2^−i in block i. The
probability that a candidate is x and accepted is, in a strip, (w_j / 2^16)·(1 / W_j)·p(x) = M·g(x) / 2^16, and in the
tail (w_T / 2^16)·2^−(i+1)·(1 / T)·p(x) = M·g(x) / 2^16. It is the same multiple of g everywhere, so an accepted
candidate has distribution g / Σ g, for any (rounded) weights. Candidates are independent, so the accepted
ones are independent draws.

**Why the decision is exact.** Accepting means u < p(x) for a uniform real u in [0, 1) of which only the first bits
are drawn. With n bits known, u is in [U, U+1)·2^−n. It is accepted if U+1 ≤ p_low·2^n and rejected if U ≥
p_high·2^n, with p_low ≤ p(x) ≤ p_high from doubles and the density's proven relative error; neither is the case with
probability about 2^−n. Then further bits of the *same* u are drawn, first in bulk, then one by one against p(x)
enclosed in decimal arithmetic of growing precision. A bit once drawn is never drawn again, so the bits of u stay
uniform, and a decision is only taken when every completion of u agrees with it. The loop ends with probability 1, as
the interval of u shrinks and u = p(x) has probability 0.

Invariants:

- undecided candidates are always resolved, never dropped (that would bias the result);
- surplus accepted values are dropped from the end only;
- a ``Layout`` cannot change the distribution: one for which the proof does not hold is refused.

Not constant time: the number of candidates is independent of the values kept, the rare slow decision is not.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from coterie_common.errors import StateError
from coterie_common.randomness import RandomSource

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

_CELL_BITS: Final = 16
_CHUNK: Final = 1 << 15
"""Candidates at a time: the temporaries of a chunk stay in the second-level cache."""

_MAX_FLOAT_BITS: Final = 52
"""Bits of u that a double compares exactly."""

_MIN_FIRST_BITS: Final = 7
"""With fewer bits of a 32-bit word left for u, more than 1 % would be undecided: 64-bit words are taken."""

_UNDERFLOW: Final = 2.0**-900

_STEP_BITS: Final = 32
"""Bits of u drawn at a time once doubles are exhausted."""

_DIGITS: Final = 25
"""Decimal digits beyond those that the known bits of u call for."""


class Density(Protocol):
    """A non-increasing unnormalised density on 0, 1, 2, … with g(0) ≤ 1.

    Attributes:
        relative_error: bound on |floats(x)/g(x) − 1|, between 2^−45 and 2^−20.
    """

    relative_error: float

    def floats(self, x: Int64Array) -> Float64Array:
        """Return g(x) in doubles for x in strips and at the tail's start; only the latter may underflow."""
        ...

    def enclose(self, x: int, digits: int) -> tuple[Decimal, Decimal]:
        """Return two numbers that enclose g(x), for any x ≥ 0; their ratio tends to 1 as ``digits`` grows."""
        ...

    def tail_block(self, start: int) -> int:
        """Return a power of two T with g(x+T) ≤ g(x)/2 for every x ≥ start."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """The cuts of strips and the use of random bits. Changes the speed, never the distribution.

    Attributes:
        widths: widths of the strips from 0 on, powers of two; the tail starts at their sum L.
        first_bits: bits of u in the first comparison; None: as many as the word has left.
        further_bits: bits of u drawn in bulk for the second comparison.
    """

    widths: Sequence[int]
    first_bits: int | None = None
    further_bits: int = 36


def directed(digits: int, rounding: str) -> decimal.Context:
    """Return a decimal context of ``digits`` digits with a rounding mode and the widest range of exponents."""
    return decimal.Context(
        prec=digits,
        rounding=rounding,
        Emin=decimal.MIN_EMIN,
        Emax=decimal.MAX_EMAX,
        traps=[decimal.InvalidOperation, decimal.Overflow, decimal.DivisionByZero],
    )


def enclose_exp(exponent: Fraction, digits: int) -> tuple[Decimal, Decimal]:
    """Return numbers that enclose e^−exponent, for exponent ≥ 0.

    ``Context.exp`` is correctly rounded, so the neighbours of its result enclose the true value.
    """
    low = directed(digits, decimal.ROUND_FLOOR).divide(Decimal(exponent.numerator), Decimal(exponent.denominator))
    high = directed(digits, decimal.ROUND_CEILING).divide(Decimal(exponent.numerator), Decimal(exponent.denominator))
    nearest = directed(digits, decimal.ROUND_HALF_EVEN)
    return (
        nearest.next_minus(nearest.exp(high.copy_negate())),
        nearest.next_plus(nearest.exp(low.copy_negate())),
    )


def lazily_below(
    enclose: Callable[[int], tuple[Decimal, Decimal]],
    coefficient: Fraction,
    known: int,
    bits: int,
    random: RandomSource,
) -> bool:
    """Return true if u < p for p = coefficient · g, drawing as many further bits of u as needed.

    Args:
        enclose: encloses g in numbers whose ratio tends to 1 as its argument, a number of digits, grows.
        coefficient: exact.
        known: the bits of u drawn so far: u is in [known, known + 1)·2^−bits.
        bits: their number.
        random: source of the further bits.
    """
    while True:
        digits = _DIGITS + bits // 3  # log10(2) < 1/3: always more digits than the bits of u call for
        low, high = enclose(digits)
        factor = Decimal(coefficient.numerator << bits)
        # Decimal and int compare exactly.
        if directed(digits, decimal.ROUND_FLOOR).multiply(low, factor) >= (known + 1) * coefficient.denominator:
            return True
        if directed(digits, decimal.ROUND_CEILING).multiply(high, factor) <= known * coefficient.denominator:
            return False
        known = known << _STEP_BITS | random.randbits(_STEP_BITS)
        bits += _STEP_BITS


def collect(count: int, draw: Callable[[int], Int64Array]) -> Int64Array:
    """Return the first ``count`` values of repeated ``draw(candidates)``, each of which returns some fewer."""
    parts: list[Int64Array] = [np.empty(0, dtype=np.int64)]
    missing = count
    while missing > 0:
        part = draw(min(_CHUNK, missing + missing // 8 + 32))[:missing]
        parts.append(part)
        missing -= len(part)
    return np.concatenate(parts)


class StripSampler:
    """Draws independent values with probability exactly g(x) / Σ g; the module's docstring has the proof."""

    def __init__(self, density: Density, layout: Layout) -> None:
        widths = np.asarray(layout.widths, dtype=np.int64)
        if widths.size == 0 or np.any(widths < 1) or np.any(widths & (widths - 1)):
            raise StateError("strip widths must be powers of two")
        if widths.size + 2 > 1 << _CELL_BITS:
            raise StateError(f"too many strips for the table: {widths.size}")
        starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(widths)))
        self._density = density
        self._tail = len(widths)
        self._tail_start = int(starts[-1])
        self._tail_block = density.tail_block(self._tail_start)

        if density.floats(starts[-1:] - 1)[0] < _UNDERFLOW:
            raise StateError("the strips reach too far: their density would underflow, start the tail earlier")
        # At the tail's start a double may have underflowed: it stands for less than one cell, which is the weight it
        # gets.
        error = density.relative_error
        bounds = [Fraction(float(g)) * Fraction(1 + 2 * error) for g in density.floats(starts)]
        spans = [*(int(width) for width in widths), 2 * self._tail_block]
        masses = [bound * span for bound, span in zip(bounds, spans, strict=True)]
        # Rounding a weight up adds less than 1 each, so with this M they fit.
        scale = ((1 << _CELL_BITS) - len(masses)) / sum(masses, Fraction(0))
        weights = [max(1, math.ceil(scale * mass)) for mass in masses]
        spare = (1 << _CELL_BITS) - sum(weights)
        self._cells = np.repeat(np.arange(len(weights) + 1, dtype=np.uint16), [*weights, spare])
        # p(x) = coefficient · g(x); for the tail that of block 0.
        self._coefficients = [scale * span / weight for span, weight in zip(spans, weights, strict=True)]

        self._offset_bits = int(widths.max()).bit_length() - 1
        fixed_bits = _CELL_BITS + 1 + self._offset_bits
        word_bits = 32 if 32 - fixed_bits >= _MIN_FIRST_BITS else 64
        self._word = np.dtype(f"<u{word_bits // 8}")
        maximum = min(word_bits - fixed_bits, _MAX_FLOAT_BITS)
        self._first_bits = maximum if layout.first_bits is None else min(layout.first_bits, maximum)
        self._further_bits = min(layout.further_bits, _MAX_FLOAT_BITS - self._first_bits)

        # Tail and rejecting strip: offset 0 and p_low = p_high = 0, so the comparison in doubles always rejects.
        self._origins = np.concatenate((starts, np.zeros(1, dtype=np.int64)))
        self._masks = np.concatenate((widths - 1, np.zeros(2, dtype=np.int64)))
        # Doubles: (1 + error)·(1 − 4·error) < 1 < (1 − error)·(1 − 4·error)·(1 + 16·error), with room for the
        # rounding of three products, each within 2^−53.
        low = [float(c) * (1 - 4 * error) * 2.0**self._first_bits for c in self._coefficients[:-1]]
        self._low_factors = np.array([*low, 0.0, 0.0])
        self._high_ratio = 1 + 16 * error

    def sample(self, count: int, random: RandomSource) -> Int64Array:
        """Return ``count`` independent values."""
        return collect(count, lambda candidates: self.accepted(candidates, random)[0])

    def accepted(self, candidates: int, random: RandomSource) -> tuple[Int64Array, npt.NDArray[np.bool_]]:
        """Draw candidates and return those accepted, each with one independent fair coin."""
        words = np.frombuffer(random.token_bytes(candidates * self._word.itemsize), dtype=self._word)
        strips = self._cells.take(words & ((1 << _CELL_BITS) - 1))
        coins = (words & (1 << _CELL_BITS)) != 0
        rest = (words >> (_CELL_BITS + 1)).astype(np.int64)
        values = self._origins.take(strips) + (rest & self._masks.take(strips))
        uniforms = ((rest >> self._offset_bits) & ((1 << self._first_bits) - 1)).astype(np.float64)
        low = self._density.floats(values) * self._low_factors.take(strips)
        accepted = uniforms + 1 <= low
        undecided = np.flatnonzero((uniforms < low * self._high_ratio) & ~accepted)
        if undecided.size:
            accepted[undecided] = self._refine(
                values[undecided], strips[undecided], uniforms[undecided], low[undecided], random
            )
        for position in np.flatnonzero(strips == self._tail):
            values[position], accepted[position] = self._tail_candidate(random)
        return values[accepted], coins[accepted]

    def _refine(
        self,
        values: Int64Array,
        strips: npt.NDArray[np.uint16],
        uniforms: Float64Array,
        low: Float64Array,
        random: RandomSource,
    ) -> npt.NDArray[np.bool_]:
        """Decide candidates that the first bits left open, with further bits of the same uniforms."""
        factor = 2.0**self._further_bits
        bits = np.frombuffer(random.token_bytes(8 * len(values)), dtype="<u8") >> (64 - self._further_bits)
        uniforms = uniforms * factor + bits.astype(np.float64)  # exact: below 2^52
        low = low * factor
        accepted = uniforms + 1 <= low
        known_bits = self._first_bits + self._further_bits
        for i in np.flatnonzero((uniforms < low * self._high_ratio) & ~accepted):
            enclose = partial(self._density.enclose, int(values[i]))
            accepted[i] = lazily_below(enclose, self._coefficients[strips[i]], int(uniforms[i]), known_bits, random)
        return accepted

    def _tail_candidate(self, random: RandomSource) -> tuple[int, bool]:
        """Return a candidate of the tail, and true if it is accepted."""
        block = 0
        while random.randbits(1):
            block += 1
        value = self._tail_start + block * self._tail_block + random.randbits(self._tail_block.bit_length() - 1)
        enclose = partial(self._density.enclose, value)
        return value, lazily_below(enclose, self._coefficients[-1] * 2**block, 0, 0, random)
