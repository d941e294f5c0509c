# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing a short vector: all of its values are encrypted, packed into few ciphertexts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import Encryptor, PublicKey
from coterie_common.errors import CapacityExceeded, StateError
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_CIPHERTEXTS
from coterie_common.protocol.encrypted_reply import KeyPart
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedSum
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource


class DirectSealing(EncryptedSealing):
    """Packed Damgård–Jurik under the terms of one round."""

    def __init__(self, terms: RoundTerms, parties: int, encryptor: Encryptor) -> None:
        """Raise ``CapacityExceeded`` if the terms do not fit the key."""
        super().__init__(direct_packing(terms, parties, encryptor.public_key), 0, encryptor)

    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[KeyPart, bytes]:
        """See ``Sealing``; there is no padded part."""
        plaintexts = self._packing.pack(np.concatenate(tuple(pieces)))
        return self._seal_plaintexts(plaintexts, session_id, party_id, NOTHING_PADDED, random), NOTHING_PADDED

    def open_pieces(
        self, total: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``; the sum is exact, and one piece."""
        if padded_sum is not None and len(padded_sum.values):
            raise StateError("vectors that were sealed directly have no padded sum")
        return iter((self._packing.unpack(total, contributors),))


def direct_packing(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return the packing of one reply's vector into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: members of the roster, and maximum number of replies in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: the sum's range does not fit, or the vector needs too many ciphertexts; the message gives the
            numbers.
    """
    lower, upper = terms.encoding.contribution_range(terms.noise)
    packing = Packing(
        length=terms.encoding.length,
        lower=lower,
        upper=upper,
        max_contributors=parties,
        plaintext_bits=key.plaintext_bits,
    )
    if packing.plaintexts > MAX_CIPHERTEXTS:
        raise CapacityExceeded(
            f"a reply of {packing.length} values in slots of {packing.slot_bits} bits needs {packing.plaintexts} "
            f"ciphertexts, more than {MAX_CIPHERTEXTS}: ask for fewer values per round, such as fewer nodes or levels"
        )
    return packing
