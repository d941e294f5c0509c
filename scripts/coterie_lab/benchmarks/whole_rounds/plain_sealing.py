# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A round without sealing, for comparison: the vector travels in clear, and everything else stays as it is.

INSECURE, and for benchmarks only. It is passed to the constructors of a benchmark's own daemons (``daemon``); no
configuration, job or message makes a daemon of the product use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import Encryptor
from coterie_common.errors import StateError
from coterie_common.identifiers import PartyId
from coterie_common.privacy.strips import Int64Array
from coterie_common.privacy.vector_encoding import VectorEncoding
from coterie_common.protocol.encrypted_reply import KeyPart
from coterie_common.protocol.padded_part import PaddedDigest, PaddedSum, to_octets
from coterie_common.protocol.sealing.choice import make_sealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource

PLAIN_CLIP_NORM = 2
"""Jobs with this clipping norm are not sealed, those with 1 are: so both run in turn in one federation."""

_PIECE_VALUES = 1 << 20


class PlainSealing(EncryptedSealing):
    """Seals nothing: the padded part is the vector itself, the key part one ciphertext of 0 with its proof.

    That a round has one, which is opened like any other, costs some milliseconds and does not depend on the length.
    """

    def __init__(self, terms: RoundTerms, parties: int, encryptor: Encryptor) -> None:
        packing = Packing(length=1, lower=0, upper=1, max_contributors=parties, plaintext_bits=64)
        super().__init__(packing, terms.encoding.length, encryptor)

    def seal_pieces(
        self,
        pieces: Iterable[Int64Array],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[KeyPart, bytes]:
        """See ``Sealing``, of which this keeps the form and the digest."""
        digest = PaddedDigest()
        for values in pieces:
            octets = to_octets(values.astype(np.uint32))
            digest.update(octets)
            write(octets)
        key_part = self._seal_plaintexts((0,), session_id, party_id, digest.digest(), random)
        return key_part, digest.digest()

    def open_pieces(
        self, plaintexts: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[Int64Array]:
        """See ``Sealing``; the padded sum is the sum."""
        if padded_sum is None or tuple(plaintexts) != (0,):
            raise StateError("nothing was sealed, and something else came")
        total = padded_sum.values
        return (
            total[start : start + _PIECE_VALUES].view(np.int32).astype(np.int64)
            for start in range(0, len(total), _PIECE_VALUES)
        )


def make_either_sealing(terms: RoundTerms, parties: int, encryptor: Encryptor) -> EncryptedSealing:
    """Return the product's sealing, or none for a job that serves as comparison."""
    if isinstance(terms.encoding, VectorEncoding) and terms.encoding.clip_norm == PLAIN_CLIP_NORM:
        return PlainSealing(terms, parties, encryptor)
    return make_sealing(terms, parties, encryptor)
