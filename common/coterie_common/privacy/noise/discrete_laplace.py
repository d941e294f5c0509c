# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Discrete Laplace noise: the sum of honest shares is exactly one discrete Laplace, which has a pure ε."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from typing_extensions import override

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.exact import short_below
from coterie_common.privacy.noise.terms import (
    SIZE_DIGITS,
    TWICE_129_LN_2,
    NoiseTerms,
    Parameter,
    Placement,
    Search,
)
from coterie_common.privacy.sampling import MAX_RATIO, MIN_RATIO, NegativeBinomialDifference
from coterie_common.privacy.strips import Int64Array
from coterie_common.randomness import RandomSource

_MARGIN: Final = 1 - Fraction(1, 10**6)
"""Left of a pure ε, so that it stays below the limit also as a double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteLaplaceNoise(NoiseTerms):
    """Noise with P(x) ∝ e^(−r|x|).

    Attributes:
        ratio: r of the guaranteed noise; None without noise.
    """

    mechanism: ClassVar[str] = "discrete-laplace"
    parameter: ClassVar[Parameter] = "ratio"
    needs_delta: ClassVar[bool] = False
    has_norm_bound: ClassVar[bool] = False

    ratio: Fraction | None = None

    @classmethod
    @override
    def of(cls, size: Fraction | None, *, placement: Placement, shares: int) -> DiscreteLaplaceNoise:
        return cls(ratio=size, placement=placement, shares=shares)

    @property
    @override
    def size(self) -> Fraction | None:
        return self.ratio

    @override
    def _check_size(self, size: Fraction) -> None:
        if not MIN_RATIO <= size <= MAX_RATIO:
            raise UnsupportedMechanism(f"discrete Laplace noise of ratio {size}: 2^-16 to 512")

    @override
    def _variance_of_share(self, size: Fraction) -> float:
        r = float(size)
        return 2 * math.exp(-r) / math.expm1(-r) ** 2 / self.divisor

    @override
    def _tail_of_share(self, size: Fraction) -> int:
        """Bound one share.

        It is the difference of two NB(1/h, 1 − e^−r). The sum of h such is geometric with P(G > T) = e^{−r(T+1)} and
        each is at most their sum, so P(|share| > T) ≤ 2·e^{−r(T+1)}.
        """
        return math.ceil(Fraction(TWICE_129_LN_2, 2) / size) - 1

    @override
    def _tail_of_sum(self, size: Fraction, contributors: int) -> int:
        """Bound a sum by the tails of all shares: one exceeds its own with a probability of at most n · 2^−128."""
        return contributors * self._tail_of_share(size)

    @override
    def _draw(self, size: Fraction, count: int, random: RandomSource) -> Int64Array:
        return NegativeBinomialDifference(size, self.divisor).sample(count, random)

    @override
    def pure_epsilon(self, change: int) -> Fraction:
        """Return r·Δ: P(x) changes by at most e^(rΔ) per value, and values have independent noise."""
        return change * self.ratio if self.ratio is not None else Fraction(0)

    @classmethod
    @override
    def sizes(
        cls,
        queries: Sequence[tuple[int, int]],
        factors: Sequence[Fraction],
        epsilon: Fraction,
        delta: Fraction,
        search: Search,
    ) -> Sequence[Fraction]:
        """Return ratios that add up to ε, each inverse to the factor; δ is ignored."""
        whole = epsilon * _MARGIN / sum(1 / factor for factor in factors)
        for (l0, linf), factor in zip(queries, factors, strict=True):
            _check_reachable(l0, linf, whole / factor, epsilon)
        return [whole / (factor * l0 * linf) for (l0, linf), factor in zip(queries, factors, strict=True)]

    @classmethod
    @override
    def chosen(cls, size: Fraction, scale_bits: int, *, placement: Placement, shares: int) -> DiscreteLaplaceNoise:
        return cls(ratio=short_below(size / 2**scale_bits, SIZE_DIGITS), placement=placement, shares=shares)


def _check_reachable(l0: int, linf: int, share: Fraction, epsilon: Fraction) -> None:
    """Refuse, in words that a person can act on, a round whose noise would be wider than can be drawn."""
    # A ratio is rounded down in its last digit.
    reachable = int(share / MIN_RATIO * (1 - Fraction(1, 10 ** (SIZE_DIGITS - 1))))
    if l0 * linf > reachable:
        coarser = f", for coarser ones (statistics: steps = {reachable // l0} or fewer)" if reachable >= l0 else ""
        raise UnsupportedMechanism(
            f"discrete-laplace noise for epsilon = {float(epsilon):.4g} is too wide to be drawn: a record changes the "
            f"values of a round by {l0 * linf} in all, at most {reachable} is possible. Ask for fewer values{coarser}, "
            "for more epsilon, or take discrete-gaussian"
        )
