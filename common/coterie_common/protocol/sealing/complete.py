# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Complete sealing: every member of the cohort masks, and the masks cancel in the sum of all of them alone.

Nobody decrypts anything. The masked part of a reply is the vector itself, modulo 2^64, if it is short; otherwise it is
the key of the vector's pad, modulo 2^32.

- A mask covers one vector of one session. The aggregator's side has no masks, and cannot seal.
- A sum that lacks a member, or holds a reply to another query, is random numbers: nothing opens.
- A member that masks wrongly spoils the sum, and nothing shows which member did.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.masks.mask import SessionMasks, UInt32Array, UInt64Array, add_masked
from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pads.ring import DEGREE
from coterie_common.errors import CapacityExceeded, MalformedMessage, PlaintextOutOfRange, StateError
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_MASKED_VALUES
from coterie_common.protocol.masked_reply import MaskedPart
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedSum
from coterie_common.protocol.sealing.padded_vector import PaddedVectors
from coterie_common.protocol.sealing.sealing import Sealing
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource

MaskedVector = UInt32Array | UInt64Array

_WORD_BITS: Final = 64


class CompleteSealing(Sealing[MaskedPart, MaskedVector]):
    """See the module; the sum of the masked parts is opened once it holds the whole cohort.

    Args:
        numbers: in the masked part.
        padded_length: number of values of a padded part; 0 if there is none.
        masks: of this party in the session; ``None`` at the aggregator.
    """

    word: ClassVar[np.dtype[np.unsignedinteger]]
    """Little-endian numbers of the masked part."""

    def __init__(self, numbers: int, padded_length: int, masks: SessionMasks | None) -> None:
        super().__init__(padded_length)
        self._numbers = numbers
        self._session_masks = masks

    @property
    def _masks(self) -> SessionMasks:
        if self._session_masks is None:
            raise StateError("this side has no secrets with the cohort, and masks nothing")
        return self._session_masks

    def check_masked(self, part: MaskedPart) -> MaskedVector:
        """Return the numbers of a masked part from outside.

        Raises:
            MalformedMessage: not exactly the length that the terms give.
        """
        size = self._numbers * self.word.itemsize
        if len(part.values) != size:
            raise MalformedMessage(f"a masked part has {len(part.values)} bytes instead of {size}")
        numbers: MaskedVector = np.frombuffer(part.values, self.word).astype(self.word.newbyteorder("="), copy=False)
        return numbers

    def add(self, parts: Sequence[MaskedPart]) -> MaskedVector:
        """Return the sum of the masked parts of a whole cohort; raises ``MalformedMessage``."""
        total = np.zeros(self._numbers, self.word.newbyteorder("="))
        for part in parts:
            add_masked(total, self.check_masked(part))
        return total

    def _part(self, covered: MaskedVector) -> MaskedPart:
        return MaskedPart(values=covered.astype(self.word, copy=False).tobytes())

    def _check_total(self, total: MaskedVector, contributors: int, parties: int) -> None:
        if total.shape != (self._numbers,) or total.dtype != self.word.newbyteorder("="):
            raise StateError(f"{total.dtype} of shape {total.shape} are no sum of {self._numbers} masked numbers")
        if not 1 <= contributors <= parties:
            raise StateError(f"a sum of {contributors} contributors, where there are at most {parties}")

    @abstractmethod
    def open_pieces(
        self, total: MaskedVector, contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``."""


class CompleteDirectSealing(CompleteSealing):
    """Values masked modulo 2^64, for vectors of up to ``MAX_MASKED_VALUES``."""

    word = np.dtype("<u8")

    def __init__(self, terms: RoundTerms, parties: int, masks: SessionMasks | None = None) -> None:
        """Raise ``CapacityExceeded`` if the vector is too long, or a sum of ``parties`` replies too large."""
        check_complete_capacity(terms, parties)
        super().__init__(terms.encoding.length, 0, masks)
        self._parties = parties
        self._lower, self._upper = terms.encoding.contribution_range(terms.noise)

    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[MaskedPart, bytes]:
        """See ``Sealing``; there is no padded part, and nothing is drawn."""
        values = np.concatenate(tuple(pieces))
        if values.dtype != np.int64 or values.shape != (self._numbers,):
            raise PlaintextOutOfRange(
                f"a vector of shape {values.shape} and type {values.dtype} instead of {self._numbers} int64 values"
            )
        if values.min() < self._lower or values.max() > self._upper:
            raise PlaintextOutOfRange(f"a value lies outside [{self._lower}, {self._upper}]")
        return self._part(self._masks.cover_values(values)), NOTHING_PADDED

    def open_pieces(
        self, total: MaskedVector, contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``; the sum is exact, and one piece."""
        if padded_sum is not None and len(padded_sum.values):
            raise StateError("vectors that were masked directly have no padded sum")
        self._check_total(total, contributors, self._parties)
        opened = total.view(np.int64)
        lower, upper = contributors * self._lower, contributors * self._upper
        if opened.min() < lower or opened.max() > upper:
            raise PlaintextOutOfRange(f"a sum of {contributors} replies has a value outside [{lower}, {upper}]")
        return iter((opened,))


class CompletePaddedSealing(CompleteSealing):
    """A long vector under a pad, whose key is masked modulo 2^32."""

    word = np.dtype("<u4")

    def __init__(self, terms: RoundTerms, parties: int, masks: SessionMasks | None = None) -> None:
        """Raise ``CapacityExceeded`` with the numbers if sums of ``parties`` replies could exceed 32 bits."""
        super().__init__(DEGREE, terms.encoding.length, masks)
        self._parties = parties
        self._vectors = PaddedVectors(terms, parties)

    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[MaskedPart, bytes]:
        """See ``Sealing``; the vector is never in memory as a whole."""
        masks = self._masks
        pad, digest = self._vectors.cover(pieces, session_id, random, write)
        return self._part(masks.cover_key(pad.take_maskable_key())), digest

    def open_pieces(
        self, total: MaskedVector, contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``; pieces as ``PaddedVectors.uncover``."""
        padded_sum = self._vectors.check_sum(contributors, padded_sum)
        self._check_total(total, contributors, self._parties)
        return self._vectors.uncover(total.view(np.int32).astype(np.int64), contributors, padded_sum)


def check_complete_capacity(terms: RoundTerms, parties: int) -> None:
    """Check that vectors can be masked directly, from the terms.

    Args:
        terms: of the round.
        parties: members of the roster.

    Raises:
        CapacityExceeded: more than ``MAX_MASKED_VALUES`` values, or their sum does not fit 64 bits.
    """
    encoding = terms.encoding
    if encoding.length > MAX_MASKED_VALUES:
        raise CapacityExceeded(
            f"a round of {encoding.length} exact values cannot be sealed completely: without noise, these are at most "
            f"{MAX_MASKED_VALUES}; leave out sealing"
        )
    Packing(encoding.length, *encoding.contribution_range(terms.noise), parties, _WORD_BITS)
