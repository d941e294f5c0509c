# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Upper bounds on what one release reveals about one unit of privacy, as data for the accountant.

- ``CountEvent``: a unit touches at most ``l0`` values of the summed vector and changes each by at most ``linf``, an
  integer.
- ``VectorEvent``: a unit changes the summed integer vector by one of bounded Euclidean norm; each record may take part
  with a certain probability only.

The released sum holds at least the *guaranteed* noise: h independent honest shares (placement ``distributed``), or the
one whole noise that the unit's own party drew (``local``). Further shares are independent of the data; they are
post-processing and are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.fields import Fields
from coterie_common.privacy.count_encoding import MAX_SCALE_BITS
from coterie_common.privacy.exact import fraction_from_text, fraction_to_text
from coterie_common.privacy.noise.mechanisms import NoiseTerms, Placement, Unit, noise_from_document

MAX_TOUCHED: Final = 1 << 31
MAX_CHANGE: Final = 1 << 62
"""Far beyond any vector that can be sealed; keeps the accountant's integers small."""


MAX_LENGTH: Final = 1 << 40
MAX_SQUARED_NORM: Final = 1 << 62


class _Noised:
    """The properties that follow from the noise of an event alone."""

    __slots__ = ()

    noise: NoiseTerms

    @property
    def guaranteed_shares(self) -> int:
        """Independent shares that make up the guaranteed noise."""
        return self.noise.shares if self.noise.placement is Placement.DISTRIBUTED else 1

    @property
    def is_protected(self) -> bool:
        """True if there is any noise at all."""
        return self.noise.placement is not Placement.NONE

    @property
    def gaussian_variance(self) -> Fraction | None:
        """σ² of the guaranteed noise of one value; None if it is not Gaussian."""
        return self.noise.gaussian_variance


@dataclass(frozen=True, slots=True, kw_only=True)
class CountEvent(_Noised):
    """One planned or made release.

    Attributes:
        l0: maximum number of values that one unit touches, ≥ 1.
        linf: maximum change of each, ≥ 1, before scaling.
        scale_bits: the encoding multiplies values by 2^scale_bits.
        noise: in scaled units.
        unit: the unit of privacy whose presence the noise hides.

    Raises:
        UnsupportedMechanism: a number is out of range.
    """

    l0: int
    linf: int
    scale_bits: int
    noise: NoiseTerms
    unit: Unit = Unit.RECORD

    def __post_init__(self) -> None:
        if not 1 <= self.l0 <= MAX_TOUCHED or not 1 <= self.linf <= MAX_CHANGE:
            raise UnsupportedMechanism(f"no event in which one unit touches {self.l0} values by {self.linf} each")
        if not 0 <= self.scale_bits <= MAX_SCALE_BITS:
            raise UnsupportedMechanism(f"scale bits {self.scale_bits}: 0 to {MAX_SCALE_BITS} are possible")

    @property
    def shift(self) -> int:
        """Maximum change of one value in scaled units, Δ = linf·2^scale_bits."""
        return self.linf << self.scale_bits

    @property
    def pure_epsilon(self) -> Fraction:
        """ε by the noise's own pure bound for a change of l0·Δ; 0 where it has none."""
        return self.noise.pure_epsilon(self.l0 * self.shift)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values from which anybody can compute the cost again; fractions are text."""
        return {
            "kind": "counts",
            "l0": self.l0,
            "linf": self.linf,
            "scale_bits": self.scale_bits,
            "noise": self.noise.to_document(),
            "unit": self.unit.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorEvent(_Noised):
    """One planned or made release of a sum of real vectors, encoded as integers.

    Attributes:
        length: number of values, ≥ 1.
        squared_sensitivity: maximum squared Euclidean norm of a unit's change, after scaling and rounding.
        noise: in scaled units, of a mechanism with a bound for a change given by its norm.
        unit: the unit of privacy whose presence the noise hides.
        sampling_rate: probability with which each record takes part, independently of all others and known to its
            party only; None: every record does. A party's reply is never sampled: all see which parties take part, so
            sampling would hide nothing.

    Raises:
        UnsupportedMechanism: a number is out of range, or there is no bound for the combination.
    """

    length: int
    squared_sensitivity: int
    noise: NoiseTerms
    unit: Unit
    sampling_rate: Fraction | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_LENGTH or not 1 <= self.squared_sensitivity <= MAX_SQUARED_NORM:
            raise UnsupportedMechanism(
                f"no event in which one unit changes {self.length} values by a norm of √{self.squared_sensitivity}"
            )
        if not self.noise.has_norm_bound:
            raise UnsupportedMechanism(f"{self.noise.mechanism} noise has no bound for a change given by its norm")
        if self.sampling_rate is None:
            return
        if not 0 < self.sampling_rate <= 1:
            raise UnsupportedMechanism("a sampling rate must be above 0 and at most 1")
        if self.unit is not Unit.RECORD:
            raise UnsupportedMechanism("sampling hides records; which parties take part is known, and hides nothing")

    @property
    def rate(self) -> Fraction:
        """Sampling rate; 1 without sampling."""
        return Fraction(1) if self.sampling_rate is None else self.sampling_rate

    @property
    def pure_epsilon(self) -> Fraction:
        """0: no pure ε is known for a change given by its norm."""
        return Fraction(0)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values from which anybody can compute the cost again; fractions are text."""
        return {
            "kind": "vectors",
            "length": self.length,
            "squared_sensitivity": self.squared_sensitivity,
            "sampling_rate": None if self.sampling_rate is None else fraction_to_text(self.sampling_rate),
            "noise": self.noise.to_document(),
            "unit": self.unit.value,
        }


Event = CountEvent | VectorEvent


def event_from_document(value: Any) -> Event:
    """Parse the output of an event's ``to_document``.

    Raises:
        MalformedMessage: not such a document.
        UnsupportedMechanism: a number is out of range.
    """
    is_vectors = isinstance(value, dict) and value.get("kind") == "vectors"
    names = ("length", "squared_sensitivity", "sampling_rate") if is_vectors else ("l0", "linf", "scale_bits")
    fields = Fields(value, "an event", ("kind", "noise", "unit", *names))
    fields.constant("kind", "vectors" if is_vectors else "counts")
    noise, unit = noise_from_document(fields.value("noise")), _unit(fields.text("unit", longest=32))
    if not is_vectors:
        return CountEvent(
            l0=fields.integer("l0", minimum=1, maximum=MAX_TOUCHED),
            linf=fields.integer("linf", minimum=1, maximum=MAX_CHANGE),
            scale_bits=fields.integer("scale_bits", minimum=0, maximum=MAX_SCALE_BITS),
            noise=noise,
            unit=unit,
        )
    rate = fields.value("sampling_rate")
    return VectorEvent(
        length=fields.integer("length", minimum=1, maximum=MAX_LENGTH),
        squared_sensitivity=fields.integer("squared_sensitivity", minimum=1, maximum=MAX_SQUARED_NORM),
        noise=noise,
        unit=unit,
        sampling_rate=None if rate is None else fraction_from_text(rate, "an event's sampling rate"),
    )


def _unit(name: str) -> Unit:
    try:
        return Unit(name)
    except ValueError as cause:
        raise MalformedMessage("an event names an unknown unit of privacy") from cause


def protected_vectors(events: Iterable[Event]) -> dict[VectorEvent, int]:
    """Return the different vector events that have noise, with the number of times each occurs."""
    vectors = [event for event in events if isinstance(event, VectorEvent) and event.is_protected]
    # A planned job repeats one object thousands of times; comparing fractions takes longer than comparing ids.
    first_of = {id(event): event for event in vectors}
    multiplicities: dict[VectorEvent, int] = {}
    for identity, count in Counter(map(id, vectors)).items():
        event = first_of[identity]
        multiplicities[event] = multiplicities.get(event, 0) + count
    return multiplicities
