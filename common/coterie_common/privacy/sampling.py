# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The two noise distributions, sampled exactly.

- ``DiscreteGaussian(σ²)``: P(x) ∝ exp(−x²/2σ²) on the integers, for a rational σ².
- ``NegativeBinomialDifference(r, h)``: the difference of two NB(1/h, 1 − e^−r); h independent ones add up to the
  discrete Laplace distribution P(x) ∝ e^(−r|x|).

Both reduce to ``strips.StripSampler``, which is exact for every non-increasing density on 0, 1, 2, …; its module has
the proof. The two classes below prove the rest. Randomness comes from the ``RandomSource`` only; no value depends on a
floating-point result that was not proven to decide it.

Tails: the support is unbounded and nothing is cut off. Bounds on P(|x| > T) are in ``noise``.
"""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.strips import (
    Float64Array,
    Int64Array,
    Layout,
    StripSampler,
    collect,
    directed,
    enclose_exp,
)
from coterie_common.randomness import RandomSource

MIN_VARIANCE: Final = Fraction(1, 1 << 20)
MAX_VARIANCE: Final = Fraction(1 << 60)
"""A standard deviation of 2^30: sums of replies still fit 64 bits."""

MIN_RATIO: Final = Fraction(1, 1 << 16)
"""The density of the negative binomial is tabulated up to 12/r."""
MAX_RATIO: Final = Fraction(512)
"""Beyond this, doubles come near their underflow; a noise of standard deviation e^−256 protects nothing."""

_MAX_STRIP_BITS: Final = 24
"""With cell and sign, a 64-bit word has 23 bits left for the first comparison; a variance of 2^60 has 352 such
strips."""


def _power_of_two_below(value: Fraction) -> int:
    """Return the largest power of two ≤ max(1, value)."""
    return 1 << max(0, math.floor(value).bit_length() - 1)


def _power_of_two_above(value: Fraction) -> int:
    """Return the smallest power of two ≥ max(1, value)."""
    return 1 << max(0, (math.ceil(value) - 1).bit_length())


def gaussian_layout(
    variance: Fraction, *, reach: Fraction = Fraction(11, 2), first_bits: int | None = None, further_bits: int = 36
) -> Layout:
    """Cut 0 … reach·σ into strips of σ/32 to σ/16 (or 1), which rejects about 2 % of the candidates."""
    deviation = Fraction(math.isqrt(math.floor(variance * 4096)), 64)
    width = min(_power_of_two_below(deviation / 16), 1 << _MAX_STRIP_BITS)
    strips = max(1, math.ceil(reach * deviation / width))
    return Layout([width] * strips, first_bits, further_bits)


class _HalfGaussian:
    """g(x) = exp(−x²/2σ²) on 0, 1, 2, ….

    Doubles: x²/2σ² takes three roundings and is at most 708 before its exponential underflows, so the exponent is
    within 708·3·2^−53 < 2^−41.5; another 2^−42 (2,000 units in the last place) is allowed for the exponential itself.
    """

    relative_error = 2.0**-40

    def __init__(self, variance: Fraction) -> None:
        self._twice = 2 * variance
        self._factor = -float(1 / self._twice)

    def floats(self, x: Int64Array) -> Float64Array:
        squares = x.astype(np.float64)
        squares *= squares
        squares *= self._factor
        return np.exp(squares, out=squares)

    def enclose(self, x: int, digits: int) -> tuple[Decimal, Decimal]:
        return enclose_exp(x * x / self._twice, digits)

    def tail_block(self, start: int) -> int:
        # g(x+T)/g(x) = exp(−(2xT + T²)/2σ²) ≤ exp(−start·T/σ²) ≤ 1/e < 1/2 for start·T ≥ σ².
        return _power_of_two_above(self._twice / (2 * start))


class DiscreteGaussian:
    """The discrete Gaussian on the integers: P(x) = exp(−x²/2σ²) / Σ_y exp(−y²/2σ²), exactly.

    Source: the distribution of Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020.
    Deviation: theirs is sampled by rejection from a discrete Laplace; this one from strips (see ``strips``), with the
    same result.

    Why it is exact: ``StripSampler`` returns a magnitude m ≥ 0 with probability g(m)/Σg, g(m) = exp(−m²/2σ²), and an
    independent fair coin as its sign. The pair (−, 0) is rejected. The rest has probability proportional to
    g(0)/2 for 0 and to g(|x|)/2 for every x ≠ 0: the same multiple of exp(−x²/2σ²).

    Privacy: exact for the rational σ², given uniform bits; draws are independent.
    """

    def __init__(self, variance: Fraction, *, layout: Layout | None = None) -> None:
        """Prepare tables, about a millisecond.

        Args:
            variance: the parameter σ², between ``MIN_VARIANCE`` and ``MAX_VARIANCE``. (The distribution's
                variance is below it by a factor that differs from 1 by less than 10^−60 for σ ≥ 4.)
            layout: other strips or fewer first bits; changes speed, not the distribution.

        Raises:
            UnsupportedMechanism: the variance is out of range.
        """
        if not MIN_VARIANCE <= variance <= MAX_VARIANCE:
            raise UnsupportedMechanism(f"no discrete Gaussian sampler for the variance {variance}: 2^-20 to 2^60")
        self.variance = variance
        self._strips = StripSampler(_HalfGaussian(variance), layout or gaussian_layout(variance))

    def sample(self, count: int, random: RandomSource) -> Int64Array:
        """Return ``count`` independent values, Int64[count]."""

        def draw(candidates: int) -> Int64Array:
            magnitudes, negative = self._strips.accepted(candidates, random)
            signed = np.where(negative, -magnitudes, magnitudes)
            kept: Int64Array = signed[(magnitudes != 0) | ~negative]
            return kept

        return collect(count, draw)


def negative_binomial_layout(
    ratio: Fraction, *, reach: Fraction = Fraction(12), first_bits: int | None = None, further_bits: int = 36
) -> Layout:
    """Cut 0 … reach/r into strips that widen with their distance from 0, where the density has its peak."""
    widest = min(_power_of_two_below(1 / (16 * ratio)), 1 << _MAX_STRIP_BITS)
    end = max(1, math.ceil(reach / ratio))
    widths: list[int] = []
    start = 0
    while start < end:
        widths.append(min(widest, _power_of_two_below(Fraction(start, 8))))
        start += widths[-1]
    return Layout(widths, first_bits, further_bits)


class _NegativeBinomial:
    """g(k) = e^(−rk) · ∏_{i=1..k} ((i−1)h + 1)/(ih), proportional to NB(1/h, 1 − e^−r).

    g(k+1)/g(k) = e^−r·(kh + 1)/((k+1)h) < 1: decreasing. Doubles: a table by cumulative products, four roundings a
    step, at most 2^20 steps: relative error at most 2^22·2^−53.
    """

    relative_error = 2.0**-30

    def __init__(self, ratio: Fraction, shares: int, length: int) -> None:
        self._ratio = ratio
        self._shares = shares
        steps = np.arange(1, length + 1, dtype=np.float64)
        factor = float(directed(40, decimal.ROUND_HALF_EVEN).exp(_nearest(-ratio)))
        ratios = factor * ((steps - 1) * shares + 1) / (steps * shares)
        self._table = np.concatenate(([1.0], np.cumprod(ratios)))
        self._checkpoints: dict[int, tuple[Decimal, Decimal]] = {}

    def floats(self, x: Int64Array) -> Float64Array:
        return self._table.take(x)

    def enclose(self, x: int, digits: int) -> tuple[Decimal, Decimal]:
        low, high = enclose_exp(x * self._ratio, digits)
        coefficient_low, coefficient_high = self._enclose_coefficient(x, digits)
        return (
            directed(digits, decimal.ROUND_FLOOR).multiply(coefficient_low, low),
            directed(digits, decimal.ROUND_CEILING).multiply(coefficient_high, high),
        )

    def tail_block(self, start: int) -> int:
        # g(x+T)/g(x) ≤ e^(−rT) ≤ 1/e < 1/2 for rT ≥ 1, for any start of the tail.
        return _power_of_two_above(1 / self._ratio)

    def _enclose_coefficient(self, x: int, digits: int) -> tuple[Decimal, Decimal]:
        """Enclose ∏_{i=1..x} ((i−1)h + 1)/(ih), continuing from the tail's start if x is in the tail."""
        tail_start = len(self._table) - 1
        if x < tail_start:
            return self._extend((Decimal(1), Decimal(1)), 0, x, digits)
        if digits not in self._checkpoints:
            self._checkpoints[digits] = self._extend((Decimal(1), Decimal(1)), 0, tail_start, digits)
        return self._extend(self._checkpoints[digits], tail_start, x, digits)

    def _extend(self, bounds: tuple[Decimal, Decimal], start: int, end: int, digits: int) -> tuple[Decimal, Decimal]:
        low, high = bounds
        floor, ceiling = directed(digits, decimal.ROUND_FLOOR), directed(digits, decimal.ROUND_CEILING)
        for i in range(start + 1, end + 1):
            numerator, denominator = Decimal((i - 1) * self._shares + 1), Decimal(i * self._shares)
            low = floor.divide(floor.multiply(low, numerator), denominator)
            high = ceiling.divide(ceiling.multiply(high, numerator), denominator)
        return low, high


def _nearest(value: Fraction) -> Decimal:
    return directed(40, decimal.ROUND_HALF_EVEN).divide(Decimal(value.numerator), Decimal(value.denominator))


class NegativeBinomialDifference:
    """The difference of two independent NB(1/h, 1 − e^−r), exactly.

    NB(1/h, 1 − q) has P(k) = (1 − q)^(1/h) · q^k · Γ(k + 1/h) / (Γ(1/h)·k!), and Γ(k + 1/h)/(Γ(1/h)·k!) = ∏_{i=1..k}
    ((i−1)h + 1)/(ih): with q = e^−r that is the density g above, which is decreasing, so ``StripSampler`` applies.
    The sum of h independent NB(1/h, 1 − q) is NB(1, 1 − q), the geometric distribution; the difference of two
    geometric variables has P(x) = (1 − q)/(1 + q) · q^|x|, the discrete Laplace. With h = 1 a single draw is a
    discrete Laplace.

    Source: the infinite divisibility used by Goryczka and Xiong, "A Comprehensive Comparison of Multiparty Secure
    Additions with Differential Privacy", 2015.
    Deviation: proposing from the geometric and accepting with that product by coin flips has the same result, but
    accepts with probability (1 − q)^(1 − 1/h) only: 1 in 20 at r = 1/100 and h = 3.

    Privacy: exact for the rational r, given uniform bits; draws are independent.
    """

    def __init__(self, ratio: Fraction, shares: int, *, layout: Layout | None = None) -> None:
        """Prepare tables.

        Args:
            ratio: r > 0, between ``MIN_RATIO`` and ``MAX_RATIO``; the privacy loss of the sum of h per unit of L1
                distance.
            shares: h ≥ 1.
            layout: other strips or fewer first bits; changes speed, not the distribution.

        Raises:
            UnsupportedMechanism: r or h is out of range.
        """
        if not MIN_RATIO <= ratio <= MAX_RATIO:
            raise UnsupportedMechanism(f"no discrete Laplace sampler for the ratio {ratio}: 2^-16 to 512")
        if shares < 1:
            raise UnsupportedMechanism(f"noise in {shares} shares: at least one is needed")
        self.ratio = ratio
        self.shares = shares
        layout = layout or negative_binomial_layout(ratio)
        self._strips = StripSampler(_NegativeBinomial(ratio, shares, sum(layout.widths)), layout)

    def sample(self, count: int, random: RandomSource) -> Int64Array:
        """Return ``count`` independent values, Int64[count]."""
        both = self._strips.sample(2 * count, random)
        return both[:count] - both[count:]
