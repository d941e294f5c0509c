# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The terms of a round's noise: which distribution, how much of it, and in how many shares.

All numbers are in *scaled units*: the integers that are summed, after the encoding multiplied the values by
2^scale_bits.

- ``variance`` (σ²) or ``ratio`` (r) describe the noise that a release is *guaranteed* to hold. With placement
  ``distributed`` that is the sum of ``shares`` = h honest shares, h = round quorum − corruption bound; a release with
  more contributors holds more.
- With placement ``local`` every party draws the whole noise; with ``none`` nobody draws any. Both exist for
  comparison.

Invariants: parameters are exact; shares are drawn with exact samplers; a tail bound is proven, never estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

import numpy as np

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.fields import Fields
from coterie_common.limits import PARTIES_MOST
from coterie_common.privacy.exact import fraction_from_text, fraction_to_text
from coterie_common.privacy.sampling import (
    RATIO_FEWEST,
    RATIO_MOST,
    VARIANCE_FEWEST,
    VARIANCE_MOST,
    DiscreteGaussian,
    NegativeBinomialDifference,
)
from coterie_common.privacy.strips import Int64Array
from coterie_common.randomness import RandomSource

_TWICE_129_LN_2: Final = 179
"""≥ 2·129·ln 2 = 178.84: 2·e^−x ≤ 2^−128 for x ≥ 129·ln 2."""


class Mechanism(StrEnum):
    """Distribution of the guaranteed noise."""

    DISCRETE_GAUSSIAN = "discrete-gaussian"
    DISCRETE_LAPLACE = "discrete-laplace"


class Placement(StrEnum):
    """Who draws how much of it."""

    DISTRIBUTED = "distributed"
    LOCAL = "local"
    NONE = "none"


class Unit(StrEnum):
    """Unit of privacy: what may be added or removed without being noticed.

    ``RECORD``: one record of one party. ``PARTY``: one party's reply, replaced by zero with its noise kept.
    """

    RECORD = "record"
    PARTY = "party"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTerms:
    """The noise of one round.

    Attributes:
        mechanism: distribution; says nothing when the placement is ``NONE``.
        placement: who draws how much.
        variance: σ² of the guaranteed discrete Gaussian; None for Laplace or no noise.
        ratio: r, the guaranteed discrete Laplace has P(x) ∝ e^(−r|x|); None for Gaussian or no noise.
        shares: h ≥ 1, shares that make up the guaranteed noise.

    Raises:
        UnsupportedMechanism: a parameter is missing, superfluous or out of range.
    """

    mechanism: Mechanism
    placement: Placement
    variance: Fraction | None = None
    ratio: Fraction | None = None
    shares: int

    def __post_init__(self) -> None:
        if not 1 <= self.shares <= PARTIES_MOST:
            raise UnsupportedMechanism(f"noise in {self.shares} shares: 1 to {PARTIES_MOST} are possible")
        gaussian = self.placement is not Placement.NONE and self.mechanism is Mechanism.DISCRETE_GAUSSIAN
        laplace = self.placement is not Placement.NONE and self.mechanism is Mechanism.DISCRETE_LAPLACE
        if (self.variance is not None) != gaussian or (self.ratio is not None) != laplace:
            raise UnsupportedMechanism(
                f"{self.mechanism} noise, placement {self.placement}: needs "
                + ("its variance only" if gaussian else "its ratio only" if laplace else "neither variance nor ratio")
            )
        if self.variance is not None and not VARIANCE_FEWEST <= self.variance / self._divisor <= VARIANCE_MOST:
            raise UnsupportedMechanism(f"a noise share of variance {self.variance / self._divisor}: 2^-20 to 2^60")
        if self.ratio is not None and not RATIO_FEWEST <= self.ratio <= RATIO_MOST:
            raise UnsupportedMechanism(f"discrete Laplace noise of ratio {self.ratio}: 2^-16 to 512")

    @property
    def _divisor(self) -> int:
        return self.shares if self.placement is Placement.DISTRIBUTED else 1

    @property
    def share_variance(self) -> float:
        """Variance of one share in scaled units; for the Gaussian its parameter, which bounds the variance."""
        if self.variance is not None:
            return float(self.variance / self._divisor)
        if self.ratio is not None:
            r = float(self.ratio)
            return 2 * math.exp(-r) / math.expm1(-r) ** 2 / self._divisor
        return 0.0

    def aggregate_stddev(self, contributors: int) -> float:
        """Return the standard deviation of the noise in a sum of ``contributors`` honest replies, in scaled units."""
        return math.sqrt(contributors * self.share_variance)

    def share_tail(self) -> int:
        """Return the smallest T shown here to have P(|one share| > T) ≤ 2^−128.

        Gaussian with parameter v: completing the square, E e^{tX} = e^{t²v/2}·Θ(tv)/Θ(0) with Θ(s) = Σ_x
        e^{−(x−s)²/2v}; by Poisson summation Θ(s) = √(2πv)·Σ_k e^{−2π²vk²}·cos(2πks) ≤ Θ(0), so E e^{tX} ≤ e^{t²v/2}
        for every t. Chernoff: P(|X| ≥ T+1) ≤ 2·e^{−(T+1)²/2v}.

        Laplace: a share is the difference of two NB(1/h, 1 − e^−r). The sum of h such is geometric with
        P(G > T) = e^{−r(T+1)} and each is at most their sum, so P(|share| > T) ≤ 2·e^{−r(T+1)}.

        Source: the Gaussian bound is in Canonne, Kamath and Steinke, 2020.
        """
        if self.variance is not None:
            square = _TWICE_129_LN_2 * self.variance / self._divisor
            # ceil(√x) for rational x: the smallest T+1 whose square is at least ceil(x).
            return math.isqrt(math.ceil(square) - 1)
        if self.ratio is not None:
            return math.ceil(Fraction(_TWICE_129_LN_2, 2) / self.ratio) - 1
        return 0

    def sum_tail(self, contributors: int) -> int:
        """Return T with P(|sum of the noise of ``contributors`` honest replies| > T) ≤ 2^−128.

        Gaussian: the bound of ``share_tail`` multiplies over independent shares, so that of a sum has n times the
        parameter. Laplace: the tails of all shares; the probability is at most ``contributors`` · 2^−128.
        """
        if self.variance is None:
            return contributors * self.share_tail()
        return math.isqrt(math.ceil(_TWICE_129_LN_2 * contributors * self.variance / self._divisor) - 1)

    def draw_share(self, count: int, random: RandomSource) -> Int64Array:
        """Draw one party's noise share for ``count`` values, Int64[count].

        Privacy: exact. Drawn once per round and never again: the sum of two draws tells more than one.
        """
        if self.variance is not None:
            return DiscreteGaussian(self.variance / self._divisor).sample(count, random)
        if self.ratio is not None:
            return NegativeBinomialDifference(self.ratio, self._divisor).sample(count, random)
        return np.zeros(count, dtype=np.int64)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; every set of terms has exactly one document."""
        return {
            "mechanism": self.mechanism.value,
            "placement": self.placement.value,
            "variance": None if self.variance is None else fraction_to_text(self.variance),
            "ratio": None if self.ratio is None else fraction_to_text(self.ratio),
            "shares": self.shares,
        }

    @classmethod
    def from_document(cls, document: Any) -> NoiseTerms:
        """Read what ``to_document`` wrote.

        Raises:
            MalformedMessage: not such a document.
            UnsupportedMechanism: well formed, but no possible terms.
        """
        fields = Fields(document, "noise terms", ("mechanism", "placement", "variance", "ratio", "shares"))
        try:
            mechanism = Mechanism(fields.text("mechanism", longest=32))
            placement = Placement(fields.text("placement", longest=32))
        except ValueError as cause:
            raise MalformedMessage("noise terms name an unknown mechanism or placement") from cause
        variance, ratio = fields.value("variance"), fields.value("ratio")
        return cls(
            mechanism=mechanism,
            placement=placement,
            variance=None if variance is None else fraction_from_text(variance, "variance"),
            ratio=None if ratio is None else fraction_from_text(ratio, "ratio"),
            shares=fields.integer("shares", least=1, most=PARTIES_MOST),
        )
