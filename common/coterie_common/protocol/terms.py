# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the rounds of a job may ask and at which noise: fixed before the first round, the same for all.

The aggregator derives the terms from the algorithm's plan and proposes them with the job; each party derives the plan
itself, checks that the terms fit it and that they cost no more than the job says, and then accepts only queries under
these terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from coterie_common import document
from coterie_common.crypto.hashing import Item, Label, tuple_hash
from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import JOB_TERMS_BYTES, ROUNDS_MOST
from coterie_common.privacy.encoding import Encoding
from coterie_common.privacy.noise import NoiseTerms, Unit


class SealingKind(StrEnum):
    """How a reply's vector is sealed."""

    DIRECT = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTerms:
    """Terms of one round.

    Attributes:
        sealing: how the vector is sealed.
        encoding: length, scale and range of one party's exact vector.
        noise: mechanism, placement, size and number of guaranteed shares.
        unit: whose presence the noise hides.
        l0: most values that one unit touches.
        linf: most that it changes each, before scaling.
    """

    sealing: SealingKind
    encoding: Encoding
    noise: NoiseTerms
    unit: Unit
    l0: int
    linf: int

    def shortened(self, length: int) -> RoundTerms:
        """Return the same terms for an ask of fewer values than planned.

        Raises:
            MalformedMessage: not from 1 to the planned length.
        """
        if not 1 <= length <= self.encoding.length:
            raise MalformedMessage(f"a round planned for {self.encoding.length} values cannot ask {length}")
        return replace(self, encoding=replace(self.encoding, length=length))

    def items(self) -> tuple[Item, ...]:
        """Return what enters the session id."""
        return (document.encode(self.to_document()),)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "sealing": self.sealing.value,
            "encoding": self.encoding.to_document(),
            "noise": self.noise.to_document(),
            "unit": self.unit.value,
            "l0": self.l0,
            "linf": self.linf,
        }

    @classmethod
    def from_document(cls, value: Any) -> RoundTerms:
        """Parse; raises ``MalformedMessage`` for anything but the exact form."""
        fields = Fields(value, "a round's terms", ("sealing", "encoding", "noise", "unit", "l0", "linf"))
        try:
            sealing = SealingKind(fields.text("sealing", longest=32))
            unit = Unit(fields.text("unit", longest=32))
        except ValueError as cause:
            raise MalformedMessage("a round's terms name an unknown sealing or unit of privacy") from cause
        return cls(
            sealing=sealing,
            encoding=Encoding.from_document(fields.value("encoding")),
            noise=NoiseTerms.from_document(fields.value("noise")),
            unit=unit,
            l0=fields.integer("l0", least=1, most=2**31),
            linf=fields.integer("linf", least=1, most=2**62),
        )


@dataclass(frozen=True, slots=True)
class JobTerms:
    """Terms of every round that a job may have, in order."""

    rounds: tuple[RoundTerms, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.rounds) <= ROUNDS_MOST:
            raise MalformedMessage(f"a job must have 1 to {ROUNDS_MOST} rounds, not {len(self.rounds)}")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode([terms.to_document() for terms in self.rounds])

    @classmethod
    def from_bytes(cls, data: bytes) -> JobTerms:
        """Parse; raises ``MalformedMessage``."""
        value = document.decode(data, "the job's terms", most=JOB_TERMS_BYTES)
        if not isinstance(value, list):
            raise MalformedMessage("the job's terms must be a list of rounds")
        return cls(tuple(RoundTerms.from_document(entry) for entry in value))

    @property
    def digest(self) -> bytes:
        """Return the digest of the canonical bytes."""
        return tuple_hash(Label.JOB_TERMS, self.to_bytes())
