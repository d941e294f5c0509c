# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The allowed asks and the noise of a job's rounds: fixed before the first round, the same for all parties.

The aggregator derives the terms from the algorithm's plan and proposes them with the job; each party derives the plan
itself, checks that the terms fit it and that they cost no more than the job states, and then accepts only queries under
these terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

from coterie_common import document
from coterie_common.crypto.hashing import Item
from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import JOB_TERMS_BYTES, MAX_ROUNDS, MAX_SPARE_ROUNDS
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.event import CountEvent, Event, VectorEvent
from coterie_common.privacy.exact import fraction_from_text, fraction_to_text
from coterie_common.privacy.noise.mechanisms import NoiseTerms, Unit, noise_from_document
from coterie_common.privacy.vector_encoding import VectorEncoding
from coterie_common.protocol.spares import NO_SPARES, SpareRounds, Spares


class SealingKind(StrEnum):
    """The sealing of a reply's vector."""

    DIRECT = "direct"
    PADDED = "padded"
    COMPLETE = "complete"
    COMPLETE_PADDED = "complete-padded"

    @property
    def is_complete(self) -> bool:
        """Whether the sum opens itself, with the replies of the whole cohort alone."""
        return self in {SealingKind.COMPLETE, SealingKind.COMPLETE_PADDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTerms:
    """The terms specific to a round of counts, or of other small integers.

    Attributes:
        encoding: length, scale and range of one party's exact vector.
        l0: maximum number of values that one unit of privacy touches.
        linf: maximum change of each, before scaling.
    """

    kind: ClassVar[str] = "counts"

    encoding: CountEncoding
    l0: int
    linf: int

    def event(self, noise: NoiseTerms, unit: Unit) -> CountEvent:
        """Return the round's cost as an event for the accountant."""
        return CountEvent(l0=self.l0, linf=self.linf, scale_bits=self.encoding.scale_bits, noise=noise, unit=unit)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"kind": self.kind, "encoding": self.encoding.to_document(), "l0": self.l0, "linf": self.linf}

    @classmethod
    def from_document(cls, value: Any) -> CountTerms:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "terms of counts", ("kind", "encoding", "l0", "linf"))
        return cls(
            encoding=CountEncoding.from_document(fields.value("encoding")),
            l0=fields.integer("l0", minimum=1, maximum=2**31),
            linf=fields.integer("linf", minimum=1, maximum=2**62),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorTerms:
    """The terms specific to a round of real vectors; the sensitivity follows from the encoding.

    Attributes:
        encoding: clipping, scale, rounding and range of one party's sum.
        sampling_rate: probability with which each record takes part (Poisson); ``None``: every record does.
    """

    kind: ClassVar[str] = "vectors"

    encoding: VectorEncoding
    sampling_rate: Fraction | None

    def event(self, noise: NoiseTerms, unit: Unit) -> VectorEvent:
        """Return the round's cost as an event for the accountant.

        Raises:
            UnsupportedMechanism: the accountant has no bound for this combination.
        """
        return self.encoding.event(noise, unit, self.sampling_rate)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value."""
        rate = None if self.sampling_rate is None else fraction_to_text(self.sampling_rate)
        return {"kind": self.kind, "encoding": self.encoding.to_document(), "sampling_rate": rate}

    @classmethod
    def from_document(cls, value: Any) -> VectorTerms:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "terms of vectors", ("kind", "encoding", "sampling_rate"))
        rate = fields.value("sampling_rate")
        return cls(
            encoding=VectorEncoding.from_document(fields.value("encoding")),
            sampling_rate=None if rate is None else fraction_from_text(rate, "sampling_rate"),
        )


ValueTerms: TypeAlias = CountTerms | VectorTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTerms:
    """Terms of one round.

    Attributes:
        sealing: of the vector.
        values: the encoding of the reply, and the change that one unit makes to it.
        noise: mechanism, placement, size and number of guaranteed shares: h = n − c in the terms of a job, the
            narrowest shares that any of its rounds may have; h = m_r − c in a query with round quorum m_r.
        unit: the unit of privacy whose presence the noise hides.
    """

    sealing: SealingKind
    values: ValueTerms
    noise: NoiseTerms
    unit: Unit

    @property
    def encoding(self) -> CountEncoding | VectorEncoding:
        """Return the mapping of a party's exact answer to the integers that are summed."""
        return self.values.encoding

    @property
    def event(self) -> Event:
        """Return the round's cost as an event for the accountant; raises ``UnsupportedMechanism``."""
        return self.values.event(self.noise, self.unit)

    def shortened(self, length: int) -> RoundTerms:
        """Return the same terms for an ask of fewer values than planned; real vectors are never shortened.

        Raises:
            MalformedMessage: not from 1 to the planned length.
        """
        planned = self.encoding.length
        if length == planned:
            return self
        if not isinstance(self.values, CountTerms) or not 1 <= length < planned:
            raise MalformedMessage(f"a round planned for {planned} values cannot ask {length}")
        return replace(self, values=replace(self.values, encoding=replace(self.values.encoding, length=length)))

    def in_shares(self, shares: int) -> RoundTerms:
        """Return the same terms with the noise in another number of shares; raises ``UnsupportedMechanism``."""
        return self if shares == self.noise.shares else replace(self, noise=self.noise.in_shares(shares))

    def items(self) -> tuple[Item, ...]:
        """Return the items that enter the session id."""
        return (document.encode(self.to_document()),)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "sealing": self.sealing.value,
            "values": self.values.to_document(),
            "noise": self.noise.to_document(),
            "unit": self.unit.value,
        }

    @classmethod
    def from_document(cls, value: Any) -> RoundTerms:
        """Parse; raises ``MalformedMessage`` for anything but the exact form."""
        fields = Fields(value, "a round's terms", ("sealing", "values", "noise", "unit"))
        try:
            sealing = SealingKind(fields.text("sealing", longest=32))
            unit = Unit(fields.text("unit", longest=32))
        except ValueError as cause:
            raise MalformedMessage("a round's terms name an unknown sealing or unit of privacy") from cause
        return cls(
            sealing=sealing,
            values=_values_from_document(fields.value("values")),
            noise=noise_from_document(fields.value("noise")),
            unit=unit,
        )


def _values_from_document(value: Any) -> ValueTerms:
    name = value.get("kind") if isinstance(value, dict) else None
    if name == CountTerms.kind:
        return CountTerms.from_document(value)
    if name == VectorTerms.kind:
        return VectorTerms.from_document(value)
    raise MalformedMessage("a round's terms are neither of counts nor of vectors")


@dataclass(frozen=True, slots=True)
class JobTerms:
    """Terms of every step that a job plans, in order, and of its spare rounds."""

    rounds: tuple[RoundTerms, ...]
    spares: Spares = NO_SPARES

    @property
    def events(self) -> tuple[Event, ...]:
        """What each line of a party's ledger is reserved for: the steps, then the spare rounds."""
        return (*(terms.event for terms in self.rounds), *self.spares.events)

    def __post_init__(self) -> None:
        if not 1 <= len(self.rounds) <= MAX_ROUNDS:
            raise MalformedMessage(f"a job must have 1 to {MAX_ROUNDS} rounds, not {len(self.rounds)}")

    def in_shares(self, shares: int) -> JobTerms:
        """Return the same terms with the noise of all rounds in this number of shares.

        Raises:
            UnsupportedMechanism: noise so divided cannot be drawn.
        """
        # A job repeats the same terms thousands of times.
        each = {id(terms): terms.in_shares(shares) for terms in self.rounds}
        return JobTerms(tuple(each[id(terms)] for terms in self.rounds), self.spares)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes; without spare rounds as before there were any."""
        rounds = [terms.to_document() for terms in self.rounds]
        if not self.spares.rounds:
            return document.encode(rounds)
        kinds = [kind.to_document() for kind in self.spares.kinds]
        return document.encode({"rounds": rounds, "spare_rounds": self.spares.rounds, "spares": kinds})

    @classmethod
    def from_bytes(cls, data: bytes) -> JobTerms:
        """Parse; raises ``MalformedMessage``."""
        value = document.decode(data, "the job's terms", maximum=JOB_TERMS_BYTES)
        if isinstance(value, list):
            return cls(tuple(RoundTerms.from_document(entry) for entry in value))
        fields = Fields(value, "the job's terms", ("rounds", "spare_rounds", "spares"))
        rounds = tuple(RoundTerms.from_document(entry) for entry in fields.items("rounds", maximum=MAX_ROUNDS))
        spare = fields.integer("spare_rounds", minimum=1, maximum=MAX_SPARE_ROUNDS)
        kinds = (SpareRounds.from_document(entry) for entry in fields.items("spares", maximum=MAX_ROUNDS))
        return cls(rounds, Spares(spare, tuple(kinds)))
