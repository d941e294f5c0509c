# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The interface of a noise mechanism: the terms of a round's noise, and how much of it a job needs.

A mechanism is one subclass of ``NoiseTerms`` in its own file, registered in ``mechanisms``. An instance is the noise of
one round; the class methods choose it for a job. Everything else asks this interface and names no mechanism.

All numbers are in *scaled units*: the integers that are summed, after the encoding multiplied the values by
2^scale_bits.

- ``size`` is the mechanism's one parameter. It describes the noise that a release is *guaranteed* to hold. With
  placement ``distributed`` that is the sum of ``shares`` = h honest shares, h = round quorum − corruption bound; a
  release with more contributors holds more. The terms of a job state the most shares that any of its rounds may have,
  n − c, the narrowest ones; a query states those of its own round quorum.
- With placement ``local`` every party draws the whole noise; with ``none`` nobody draws any. Both exist for
  comparison.

The accountant knows two kinds of noise: a mechanism has a pure ε, or it is Gaussian and has a variance.

Invariants: parameters are exact; shares are drawn with exact samplers; a tail bound is proven, never estimated.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar

import numpy as np

from coterie_common.errors import UnsupportedMechanism
from coterie_common.limits import MAX_PARTIES
from coterie_common.privacy.exact import fraction_to_text
from coterie_common.privacy.strips import Int64Array
from coterie_common.randomness import RandomSource

N = TypeVar("N", bound="NoiseTerms")

TWICE_129_LN_2: Final = 179
"""≥ 2·129·ln 2 = 178.84: 2·e^−x ≤ 2^−128 for x ≥ 129·ln 2."""

SIZE_DIGITS: Final = 5
"""Significant digits of a chosen size: a document stays readable, and 10^−4 of the noise is lost at most."""

Parameter: TypeAlias = Literal["variance", "ratio"]
PARAMETERS: Final[tuple[Parameter, ...]] = ("variance", "ratio")
"""The names under which a document may hold the size; it has both, and the other one is null."""

Search: TypeAlias = Callable[[Callable[[float], Sequence[Fraction]], float], float]
"""Given sizes that grow with a number, and a first guess, returns the least number that suffices."""


class Placement(StrEnum):
    """The part of the noise that each party draws."""

    DISTRIBUTED = "distributed"
    LOCAL = "local"
    NONE = "none"


class Unit(StrEnum):
    """Unit of privacy, which may be added or removed without being noticed.

    ``RECORD``: one record of one party. ``PARTY``: one party's reply, replaced by zero with its noise kept.
    """

    RECORD = "record"
    PARTY = "party"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTerms(ABC):
    """The noise of one round, of one mechanism.

    Attributes:
        mechanism: name of the mechanism, as stored and signed.
        parameter: name of its size in documents.
        needs_delta: true if a job's δ must be above 0; otherwise it must be 0.
        has_norm_bound: true if the accountant has a bound for a change that is given by its Euclidean norm.
        placement: the part that each party draws.
        shares: h ≥ 1, the number of shares that make up the guaranteed noise.

    Raises:
        UnsupportedMechanism: the size is missing, superfluous or out of range, or the shares are.
    """

    mechanism: ClassVar[str]
    parameter: ClassVar[Parameter]
    needs_delta: ClassVar[bool]
    has_norm_bound: ClassVar[bool]

    placement: Placement
    shares: int

    def __post_init__(self) -> None:
        if not 1 <= self.shares <= MAX_PARTIES:
            raise UnsupportedMechanism(f"noise in {self.shares} shares: 1 to {MAX_PARTIES} are possible")
        is_any = self.placement is not Placement.NONE
        if (self.size is not None) != is_any:
            raise self.refusal(self.placement)
        if self.size is not None:
            self._check_size(self.size)

    # A mechanism adds: the noise of a round.

    @classmethod
    @abstractmethod
    def of(cls, size: Fraction | None, *, placement: Placement, shares: int) -> NoiseTerms:
        """Return terms of this mechanism; raises as the class does."""

    @property
    @abstractmethod
    def size(self) -> Fraction | None:
        """The parameter of the guaranteed noise; None without noise."""

    @abstractmethod
    def _check_size(self, size: Fraction) -> None:
        """Raise ``UnsupportedMechanism`` if the sampler has no share of this size."""

    @abstractmethod
    def _variance_of_share(self, size: Fraction) -> float:
        """Return the variance of one share, or more."""

    @abstractmethod
    def _tail_of_share(self, size: Fraction) -> int:
        """See ``share_tail``."""

    @abstractmethod
    def _tail_of_sum(self, size: Fraction, contributors: int) -> int:
        """See ``sum_tail``."""

    @abstractmethod
    def _draw(self, size: Fraction, count: int, random: RandomSource) -> Int64Array:
        """See ``draw_share``."""

    # A mechanism adds: its bound for the accountant. One of the two.

    @property
    def gaussian_variance(self) -> Fraction | None:
        """σ² of the guaranteed noise of one value; None if it is not Gaussian."""
        return None

    def pure_epsilon(self, change: int) -> Fraction:
        """Return the ε at which a change of the sum by at most ``change`` in the L1 norm is hidden; 0 if there is none.

        Args:
            change: in scaled units, at least 1.
        """
        return Fraction(0)

    # A mechanism adds: the noise that a job needs.

    @classmethod
    @abstractmethod
    def sizes(
        cls,
        queries: Sequence[tuple[int, int]],
        factors: Sequence[Fraction],
        epsilon: Fraction,
        delta: Fraction,
        search: Search,
    ) -> Sequence[Fraction]:
        """Return the size of every round's noise, unscaled, for a job of counts.

        Args:
            queries: (l0, linf) of every planned round.
            factors: per query > 0, the factor of its noise relative to others.
            epsilon: ε > 0 of all rounds together.
            delta: 0 < δ < 1, where the mechanism needs one.
            search: finds the least noise by the accountant, for a mechanism without a closed form.

        Raises:
            UnsupportedMechanism: no such noise.
        """

    @classmethod
    @abstractmethod
    def chosen(cls, size: Fraction, scale_bits: int, *, placement: Placement, shares: int) -> NoiseTerms:
        """Return the noise of an unscaled size once values are multiplied by 2^scale_bits.

        The size is a short exact fraction, rounded towards more noise.
        """

    # The common part of all mechanisms.

    @classmethod
    def refusal(cls, placement: Placement) -> UnsupportedMechanism:
        """Return the error for terms of another size than placement and mechanism demand."""
        needed = "neither variance nor ratio" if placement is Placement.NONE else f"its {cls.parameter} only"
        return UnsupportedMechanism(f"{cls.mechanism} noise, placement {placement}: needs {needed}")

    def in_shares(self: N, shares: int) -> N:
        """Return the same guaranteed noise in another number of shares; raises ``UnsupportedMechanism``."""
        return self if shares == self.shares else replace(self, shares=shares)

    @property
    def divisor(self) -> int:
        """Shares into which the guaranteed noise is divided."""
        return self.shares if self.placement is Placement.DISTRIBUTED else 1

    @property
    def share_variance(self) -> float:
        """Variance of one share in scaled units; for the Gaussian its parameter, which bounds the variance."""
        return 0.0 if self.size is None else self._variance_of_share(self.size)

    def aggregate_stddev(self, contributors: int) -> float:
        """Return the standard deviation of the noise in a sum of ``contributors`` honest replies, in scaled units."""
        return math.sqrt(contributors * self.share_variance)

    def share_tail(self) -> int:
        """Return the smallest T shown to have P(|one share| > T) ≤ 2^−128."""
        return 0 if self.size is None else self._tail_of_share(self.size)

    def sum_tail(self, contributors: int) -> int:
        """Return T with P(|sum of the noise of ``contributors`` honest replies| > T) ≤ ``contributors`` · 2^−128."""
        return 0 if self.size is None else self._tail_of_sum(self.size, contributors)

    def draw_share(self, count: int, random: RandomSource) -> Int64Array:
        """Draw one party's noise share for ``count`` values, Int64[count].

        Privacy: exact. Drawn once per round and never again: the sum of two draws reveals more than one.
        """
        return np.zeros(count, dtype=np.int64) if self.size is None else self._draw(self.size, count, random)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; every set of terms has exactly one document."""
        document: dict[str, Any] = {"mechanism": self.mechanism, "placement": self.placement.value}
        document |= dict.fromkeys(PARAMETERS)
        if self.size is not None:
            document[self.parameter] = fraction_to_text(self.size)
        return document | {"shares": self.shares}
