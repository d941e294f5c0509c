# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing a vector: the interface of all sealings, from the noised integers of one party to their sum.

There are two families. ``encrypted`` seals under the threshold key, and parties open the sum; ``complete`` masks, and
the sum opens itself once every member of the cohort has replied. What one makes, the other cannot take: the parts have
different types, in messages of different types.

Invariant: opening the sum gives the sum of the sealed vectors, except for the errors that a pad draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.padded_part import NOTHING_PADDED, VALUE_BYTES, PaddedSum
from coterie_common.randomness import RandomSource

P = TypeVar("P")
O_contra = TypeVar("O_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class SealedVector(Generic[P]):
    """One party's sealed vector.

    Attributes:
        key_part: the part that every reply has: ciphertexts with a proof, or a masked vector.
        padded: the padded part; empty if there is none.
        padded_digest: its digest, which the contribution names.
    """

    key_part: P
    padded: bytes
    padded_digest: bytes


class Sealing(ABC, Generic[P, O_contra]):
    """The sealing, adding and opening of the vectors of one round.

    Type parameters: the part that every reply has, and what the sum of those parts opens to.
    """

    def __init__(self, padded_length: int) -> None:
        """Set the number of values of a padded part; 0 if there is none."""
        self._padded_length = padded_length

    def seal(
        self, values: NDArray[np.int64], session_id: bytes, party_id: PartyId, random: RandomSource
    ) -> SealedVector[P]:
        """Seal a vector that is in memory as a whole; as ``seal_pieces``."""
        padded: list[bytes] = []
        key_part, digest = self.seal_pieces((values,), session_id, party_id, random, padded.append)
        return SealedVector(key_part, b"".join(padded), digest)

    @abstractmethod
    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[P, bytes]:
        """Seal a noised vector.

        Args:
            pieces: consecutive pieces of the vector, together Int64[length], encoded and noised, each value within the
                terms' contribution range; all pieces but the last a multiple of 2,048 values.
            session_id: the sealed vector can be added to others of this session only.
            party_id: the party that seals.
            random: source of nonces, keys and errors.
            write: takes the pieces of the padded part, in order; not called if there is none.

        Returns:
            The part that every reply has, and the digest of the padded part.

        Raises:
            PlaintextOutOfRange: the pieces are not one vector of the terms' length, or a value is outside its range.

        Privacy: the only place where a reply leaves plaintext form; all randomness is fresh for every call. The values
            must hold the whole noise share of the terms: it may be the only protection against an adversary that opens
                the sum of pads' keys.
        """

    def check_padded_digest(self, digest: bytes) -> None:
        """Raise ``MalformedMessage`` if a contribution has a padded part against the terms, or lacks a required one.

        A padded part against the terms would be signed, but belong to no sum.
        """
        if (digest == NOTHING_PADDED) != (self._padded_length == 0):
            raise MalformedMessage(
                "a contribution has a padded part" if self._padded_length == 0 else "a contribution has no padded part"
            )

    def check_padded(self, size: int) -> None:
        """Raise ``MalformedMessage`` unless ``size`` bytes is the length of a padded part under the terms."""
        if size != VALUE_BYTES * self._padded_length:
            raise MalformedMessage(f"a padded part has {size} bytes instead of {VALUE_BYTES * self._padded_length}")

    def new_padded_sum(self, session_id: bytes) -> PaddedSum:
        """Return the accumulator for the padded parts of a session; of no values if there are none."""
        return PaddedSum(session_id, self._padded_length)

    def open(self, total: O_contra, contributors: int, padded_sum: PaddedSum | None = None) -> NDArray[np.int64]:
        """Return the sum of the sealed vectors as a whole, Int64[length]; as ``open_pieces``."""
        return np.concatenate(tuple(self.open_pieces(total, contributors, padded_sum)))

    @abstractmethod
    def open_pieces(
        self, total: O_contra, contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """Return the sum of the sealed vectors; errors are raised before the first piece.

        Args:
            total: of the parts that every reply has, opened.
            contributors: number of added contributions.
            padded_sum: of the same contributions; not needed if there are no padded parts.

        Returns:
            Consecutive pieces of Int64[length].

        Raises:
            PlaintextOutOfRange: not the sum of that number of vectors.
            InvalidPadKey: the opened sum is not a sum of keys of pads: a contributor sealed something else.
            StateError: the padded sum, the total or the contributors do not match the terms.
        """
