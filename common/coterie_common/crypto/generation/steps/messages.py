# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages of a generation in their one encoding: signed broadcasts, and sealed parts for one holder alone.

Every broadcast carries the *chain*, a digest of all broadcasts of all steps before it: holders that were not shown the
same end at the next step. Lengths follow from the step and from what was broadcast before; nothing here is trusted to
state one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from coterie_common.crypto.hashing import DIGEST_BYTES, Item, Label, long_hash, tuple_hash
from coterie_common.crypto.identity import SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.errors import MalformedMessage

_NUMBER_BYTES: Final = 4
_HEAD_BYTES: Final = _NUMBER_BYTES + 3 + DIGEST_BYTES


class Step(StrEnum):
    """The steps, in their order; those from ROOT to VERDICT are repeated for every batch."""

    START = "start"
    ENCAPSULATION = "encapsulation"
    ROOT = "root"
    CELLS = "cells"
    RESIDUES = "residues"
    FACTORS = "factors"
    PRODUCTS = "products"
    COMMITMENT = "commitment"
    POWERS = "powers"
    OPENING = "opening"
    VERDICT = "verdict"
    TESTS_COMMITMENT = "tests-commitment"
    TESTS = "tests"
    CLOSING = "closing"
    CLOSING_VERDICT = "closing-verdict"
    UNITS = "units"
    UNIT = "unit"
    SECRETS = "secrets"
    SECRETS_VERDICT = "secrets-verdict"
    MULTIPLES = "multiples"
    GAMMA = "gamma"
    TRIAL = "trial"
    SIGNATURE = "signature"

    @property
    def has_parts(self) -> bool:
        """Whether every holder also sends a part to every other one."""
        return self in _WITH_PARTS


_WITH_PARTS: Final = frozenset((Step.CELLS, Step.FACTORS, Step.UNITS, Step.SECRETS, Step.MULTIPLES))
_STEPS: Final = tuple(Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """What one holder says to all in one step.

    Attributes:
        number: of the step in this run, from 0.
        step: its kind.
        sender: holder index.
        chain: digest of all broadcasts of the steps before, as the sender saw them.
        hashes: salted hashes of the parts for the other holders, in the order of their indices; none without parts.
        body: the content, in the encoding of the step.
        signature: Ed25519, by the sender.
    """

    number: int
    step: Step
    sender: int
    chain: bytes
    hashes: tuple[bytes, ...]
    body: bytes = field(repr=False)
    signature: bytes

    @classmethod
    def create(
        cls,
        key: SigningKey,
        *,
        number: int,
        step: Step,
        sender: int,
        chain: bytes,
        hashes: tuple[bytes, ...],
        body: bytes,
    ) -> Broadcast:
        """Sign a broadcast."""
        signature = key.sign(Label.GENERATION_MESSAGE, *_items(number, step, sender, chain, hashes, body))
        return cls(number=number, step=step, sender=sender, chain=chain, hashes=hashes, body=body, signature=signature)

    def verify(self, key: VerifyKey) -> None:
        """Check the signature; raises ``InvalidSignature``."""
        items = _items(self.number, self.step, self.sender, self.chain, self.hashes, self.body)
        key.verify(self.signature, Label.GENERATION_MESSAGE, *items)

    def hash_for(self, recipient: int) -> bytes:
        """Return the salted hash of the part for one holder, not the sender; there is one for each."""
        return self.hashes[recipient - 1 if recipient < self.sender else recipient - 2]

    def to_bytes(self) -> bytes:
        """Return the one encoding."""
        head = self.number.to_bytes(_NUMBER_BYTES, "big") + bytes(
            (_STEPS.index(self.step), self.sender, len(self.hashes))
        )
        return b"".join((head, self.chain, *self.hashes, self.signature, self.body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Broadcast:
        """Parse the output of ``to_bytes``.

        Raises:
            MalformedMessage: cut off, or of a step that there is not.
        """
        octets = bytes(data)
        end = _HEAD_BYTES + DIGEST_BYTES * (octets[6] if len(octets) > _HEAD_BYTES else 0)
        if len(octets) < end + SIGNATURE_BYTES or octets[4] >= len(_STEPS):
            raise MalformedMessage("a broadcast of a key generation is cut off, or of no step")
        hashes = tuple(octets[at : at + DIGEST_BYTES] for at in range(_HEAD_BYTES, end, DIGEST_BYTES))
        return cls(
            number=int.from_bytes(octets[:_NUMBER_BYTES], "big"),
            step=_STEPS[octets[4]],
            sender=octets[5],
            chain=octets[7:_HEAD_BYTES],
            hashes=hashes,
            body=octets[end + SIGNATURE_BYTES :],
            signature=octets[end : end + SIGNATURE_BYTES],
        )


def _items(
    number: int, step: Step, sender: int, chain: bytes, hashes: tuple[bytes, ...], body: bytes
) -> tuple[Item, ...]:
    return number, step.value, sender, chain, hashes, long_hash(Label.GENERATION_BODY, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPart:
    """What one holder sends to another alone.

    Attributes:
        number: of the step in this run.
        sender: holder index.
        recipient: holder index.
        sealed: see ``channel``.
    """

    number: int
    sender: int
    recipient: int
    sealed: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the one encoding."""
        return self.number.to_bytes(_NUMBER_BYTES, "big") + bytes((self.sender, self.recipient)) + self.sealed

    @classmethod
    def from_bytes(cls, data: bytes) -> SealedPart:
        """Parse the output of ``to_bytes``; raises ``MalformedMessage`` if it is cut off."""
        if len(data) < _NUMBER_BYTES + 2:
            raise MalformedMessage("a part of a key generation is cut off")
        return cls(
            number=int.from_bytes(data[:_NUMBER_BYTES], "big"), sender=data[4], recipient=data[5], sealed=data[6:]
        )


def extend_chain(chain: bytes, broadcasts: Mapping[int, Broadcast]) -> bytes:
    """Return the chain after one more step, from the broadcasts of all holders by index."""
    digests = [
        (*_items(each.number, each.step, each.sender, each.chain, each.hashes, each.body), each.signature)
        for _, each in sorted(broadcasts.items())
    ]
    return tuple_hash(Label.GENERATION_STEP, chain, digests)


def encode_numbers(values: Sequence[int], size: int) -> bytes:
    """Return numbers from 0 on in ``size`` big-endian bytes each."""
    return b"".join(int(value).to_bytes(size, "big") for value in values)


def decode_numbers(data: bytes, size: int, count: int, bound: int) -> tuple[int, ...] | None:
    """Return ``count`` numbers of ``size`` bytes; ``None`` for another length, or one that is not below ``bound``."""
    if len(data) != size * count:
        return None
    values = tuple(int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size))
    return values if all(value < bound for value in values) else None


def width(bound: int) -> int:
    """Return the bytes of a number below ``bound``."""
    return -(-(bound - 1).bit_length() // 8)
