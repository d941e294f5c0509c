# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What one release of counts tells at most about one unit of privacy, as data for the accountant.

A unit touches at most ``l0`` values of the summed vector and changes each by at most ``linf``, an integer. The
released sum holds at least the *guaranteed* noise: h independent honest shares (placement ``distributed``), or the
one whole noise that the unit's own party drew (``local``). Further shares are independent of the data; they are
post-processing and are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.encoding import SCALE_BITS_MOST
from coterie_common.privacy.noise import Mechanism, NoiseTerms, Placement, Unit

TOUCHED_MOST: Final = 1 << 31
CHANGE_MOST: Final = 1 << 62
"""Far beyond any vector that can be sealed; keeps the accountant's integers small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountEvent:
    """One planned or made release.

    Attributes:
        l0: most values that one unit touches, ≥ 1.
        linf: most by which it changes each, ≥ 1, before scaling.
        scale_bits: the encoding multiplies values by 2^scale_bits.
        noise: in scaled units.
        unit: whose presence the noise hides.

    Raises:
        UnsupportedMechanism: a number is out of range.
    """

    l0: int
    linf: int
    scale_bits: int
    noise: NoiseTerms
    unit: Unit = Unit.RECORD

    def __post_init__(self) -> None:
        if not 1 <= self.l0 <= TOUCHED_MOST or not 1 <= self.linf <= CHANGE_MOST:
            raise UnsupportedMechanism(f"no event in which one unit touches {self.l0} values by {self.linf} each")
        if not 0 <= self.scale_bits <= SCALE_BITS_MOST:
            raise UnsupportedMechanism(f"scale bits {self.scale_bits}: 0 to {SCALE_BITS_MOST} are possible")

    @property
    def shift(self) -> int:
        """Greatest change of one value in scaled units, Δ = linf·2^scale_bits."""
        return self.linf << self.scale_bits

    @property
    def guaranteed_shares(self) -> int:
        """Independent shares that make up the guaranteed noise."""
        return self.noise.shares if self.noise.placement is Placement.DISTRIBUTED else 1

    @property
    def is_protected(self) -> bool:
        """Whether there is any noise at all."""
        return self.noise.placement is not Placement.NONE

    @property
    def gaussian_variance(self) -> Fraction | None:
        """σ² of the guaranteed noise of one value; None if it is not Gaussian."""
        return self.noise.variance if self.noise.mechanism is Mechanism.DISCRETE_GAUSSIAN else None

    @property
    def pure_epsilon(self) -> Fraction:
        """ε = l0·Δ·r of discrete Laplace noise, 0 for other noise.

        P(x) ∝ e^(−r|x|) changes by at most e^(rΔ) per value, and values have independent noise.
        """
        return self.l0 * self.shift * self.noise.ratio if self.noise.ratio is not None else Fraction(0)
