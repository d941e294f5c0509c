# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Discrete Gaussian noise: the sum of honest shares is bounded against one discrete Gaussian (see ``loss``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from typing_extensions import override

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.exact import short_above
from coterie_common.privacy.noise.terms import (
    SIZE_DIGITS,
    TWICE_129_LN_2,
    NoiseTerms,
    Parameter,
    Placement,
    Search,
)
from coterie_common.privacy.sampling import MAX_VARIANCE, MIN_VARIANCE, DiscreteGaussian
from coterie_common.privacy.strips import Int64Array
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteGaussianNoise(NoiseTerms):
    """Noise with P(x) ∝ e^(−x²/2σ²).

    Attributes:
        variance: σ² of the guaranteed noise; None without noise.
    """

    mechanism: ClassVar[str] = "discrete-gaussian"
    parameter: ClassVar[Parameter] = "variance"
    needs_delta: ClassVar[bool] = True
    has_norm_bound: ClassVar[bool] = True

    variance: Fraction | None = None

    @classmethod
    @override
    def of(cls, size: Fraction | None, *, placement: Placement, shares: int) -> DiscreteGaussianNoise:
        return cls(variance=size, placement=placement, shares=shares)

    @property
    @override
    def size(self) -> Fraction | None:
        return self.variance

    @override
    def _check_size(self, size: Fraction) -> None:
        if not MIN_VARIANCE <= size / self.divisor <= MAX_VARIANCE:
            raise UnsupportedMechanism(f"a noise share of variance {size / self.divisor}: 2^-20 to 2^60")

    @override
    def _variance_of_share(self, size: Fraction) -> float:
        return float(size / self.divisor)

    @override
    def _tail_of_share(self, size: Fraction) -> int:
        """Bound one share.

        With parameter v: completing the square, E e^{tX} = e^{t²v/2}·Θ(tv)/Θ(0) with Θ(s) = Σ_x e^{−(x−s)²/2v}; by
        Poisson summation Θ(s) = √(2πv)·Σ_k e^{−2π²vk²}·cos(2πks) ≤ Θ(0), so E e^{tX} ≤ e^{t²v/2} for every t.
        Chernoff: P(|X| ≥ T+1) ≤ 2·e^{−(T+1)²/2v}.

        Source: Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020.
        """
        return self._tail_of_sum(size, 1)

    @override
    def _tail_of_sum(self, size: Fraction, contributors: int) -> int:
        """Bound a sum: the bound of one share multiplies, so that of a sum has n times the parameter."""
        # ceil(√x) for rational x: the smallest T+1 whose square is at least ceil(x).
        return math.isqrt(math.ceil(TWICE_129_LN_2 * contributors * size / self.divisor) - 1)

    @override
    def _draw(self, size: Fraction, count: int, random: RandomSource) -> Int64Array:
        return DiscreteGaussian(size / self.divisor).sample(count, random)

    @property
    @override
    def gaussian_variance(self) -> Fraction | None:
        return self.variance

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
        """Return variances with σ proportional to the factor and to √l0·linf."""

        def at(square: float) -> Sequence[Fraction]:
            return [
                Fraction(square) * factor**2 * l0 * linf**2 for (l0, linf), factor in zip(queries, factors, strict=True)
            ]

        guess = float(sum(1 / factor**2 for factor in factors)) / _multiplier(float(epsilon), float(delta)) ** 2
        return at(search(at, guess))

    @classmethod
    @override
    def chosen(cls, size: Fraction, scale_bits: int, *, placement: Placement, shares: int) -> DiscreteGaussianNoise:
        return cls(variance=short_above(size * 4**scale_bits, SIZE_DIGITS), placement=placement, shares=shares)


def _multiplier(epsilon: float, delta: float) -> float:
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
