# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing a long vector under the threshold key: the vector under a pad, the pad's key encrypted.

The key part is the same dozen ciphertexts for any length of the vector.

Invariant: the proof of knowledge of the key names the padded part: neither can be used with another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pads.pad import key_packing
from coterie_common.crypto.paillier import Encryptor, PublicKey
from coterie_common.errors import InvalidPadKey, PlaintextOutOfRange, StateError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import KeyPart
from coterie_common.protocol.padded_part import PaddedSum
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.padded_vector import PaddedVectors, check_padded_capacity
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource


class PaddedSealing(EncryptedSealing):
    """A pad from ring learning with errors under the terms of one round, its key packed Damgård–Jurik."""

    def __init__(self, terms: RoundTerms, parties: int, encryptor: Encryptor) -> None:
        """Raise ``CapacityExceeded`` with the numbers if sums of ``parties`` replies could exceed 32 bits."""
        super().__init__(padded_packing(terms, parties, encryptor.public_key), terms.encoding.length, encryptor)
        self._vectors = PaddedVectors(terms, parties)

    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[KeyPart, bytes]:
        """See ``Sealing``; the vector is never in memory as a whole."""
        pad, digest = self._vectors.cover(pieces, session_id, random, write)
        plaintexts = self._packing.pack(pad.take_key().reveal())
        return self._seal_plaintexts(plaintexts, session_id, party_id, digest, random), digest

    def open_pieces(
        self, total: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``; pieces as ``PaddedVectors.uncover``."""
        padded_sum = self._vectors.check_sum(contributors, padded_sum)
        if len(total) != self._packing.plaintexts:
            raise StateError(f"{len(total)} plaintexts of {contributors} contributors are no sum of keys")
        try:
            key_sum = self._packing.unpack(total, contributors)
        except PlaintextOutOfRange as cause:
            raise InvalidPadKey(
                f"what {contributors} contributors encrypted as keys of their pads adds up to no sum of keys"
            ) from cause
        return self._vectors.uncover(key_sum, contributors, padded_sum)


def padded_packing(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return the packing of the key of one reply's pad under ``terms`` into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: members of the roster.
        key: the federation's public key.

    Raises:
        CapacityExceeded: as ``check_padded_capacity``.
    """
    check_padded_capacity(terms, parties)
    return key_packing(parties, key.plaintext_bits)
