# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing a long vector: the vector under a pad, the pad's key under the threshold key.

The key part is the same dozen ciphertexts for any length of the vector. Where the noise share is a discrete Gaussian
with a standard deviation of 64 units or more, it is the pad's error, and the opened sum is exact; otherwise the sum
holds one error of standard deviation 6.4 per contributor and value.

Invariants:
- Every vector gets its own pad; its key is drawn here and discarded here.
- The proof of knowledge of the key names the padded part: neither can be used with another.
- Sums do not leave 32 bits: checked against the terms, with the noise that honest replies may have, before anything is
  sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pads.pad import ERROR_BOUND, ERROR_FREE_VARIANCE, OneTimePad, SummedPad, key_packing
from coterie_common.crypto.pads.ring import DEGREE
from coterie_common.crypto.paillier import Encryptor, PublicKey
from coterie_common.errors import InvalidPadKey, PlaintextOutOfRange, StateError
from coterie_common.identifiers import PartyId
from coterie_common.privacy.headroom import PAD_MODULUS_BITS, check_headroom
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.protocol.messages import KeyPart
from coterie_common.protocol.padded_part import PaddedDigest, PaddedSum, to_octets
from coterie_common.protocol.sealing.direct import Sealing
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource

PIECE_VALUES: Final = 1 << 20
"""Values that are opened at a time if the caller takes them in pieces."""


class PaddedSealing(Sealing):
    """A pad from ring learning with errors under the terms of one round, its key packed Damgård–Jurik."""

    def __init__(self, terms: RoundTerms, parties: int, encryptor: Encryptor) -> None:
        """Raise ``CapacityExceeded`` with the numbers if sums of ``parties`` replies could exceed 32 bits."""
        super().__init__(padded_packing(terms, parties, encryptor.public_key), terms.encoding.length, encryptor)
        self._draw_error: Final = is_error_needed(terms.noise)
        self._lower, self._upper = terms.encoding.contribution_range(terms.noise)

    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[KeyPart, bytes]:
        """See ``Sealing``; the vector is never in memory as a whole."""
        pad = OneTimePad(session_id, self._padded_length, random, draw_error=self._draw_error)
        digest, missing = PaddedDigest(), self._padded_length
        for values in pieces:
            if values.ndim != 1 or values.dtype != np.int64 or not _is_piece(len(values), missing):
                raise PlaintextOutOfRange(
                    f"a vector of {self._padded_length} int64 values cannot have a piece of shape {values.shape} and "
                    f"type {values.dtype} where {missing} are left"
                )
            missing -= len(values)
            if values.min() < self._lower or values.max() > self._upper:
                raise PlaintextOutOfRange(f"a value lies outside [{self._lower}, {self._upper}]")
            octets = to_octets(pad.cover(values))
            digest.update(octets)
            write(octets)
        if missing:
            raise PlaintextOutOfRange(f"a vector of {self._padded_length} values lacks {missing}")
        plaintexts = self._packing.pack(pad.take_key().reveal())
        key_part = self._seal_plaintexts(plaintexts, session_id, party_id, digest.digest(), random)
        return key_part, digest.digest()

    def open_pieces(
        self, plaintexts: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``; pieces of ``PIECE_VALUES``. The sum holds the errors, if any are drawn.

        Values beyond the range of that number of replies are found piece by piece: a party that encrypts a key other
            than that of its pad leaves random numbers in the sum.
        """
        if padded_sum is None or len(padded_sum.values) != self._padded_length:
            raise StateError(f"opening needs a padded sum of {self._padded_length} values")
        if len(plaintexts) != self._packing.plaintexts or not 1 <= contributors <= self._packing.max_contributors:
            raise StateError(f"{len(plaintexts)} plaintexts of {contributors} contributors are no sum of keys")
        try:
            key_sum = self._packing.unpack(plaintexts, contributors)
        except PlaintextOutOfRange as cause:
            raise InvalidPadKey(
                f"what {contributors} contributors encrypted as keys of their pads adds up to no sum of keys"
            ) from cause
        pad = SummedPad(padded_sum.session_id, key_sum, contributors)
        total = padded_sum.values
        return (
            self._checked(pad.uncover(total[first : first + PIECE_VALUES], first), contributors)
            for first in range(0, len(total), PIECE_VALUES)
        )

    def _checked(self, opened: NDArray[np.int64], contributors: int) -> NDArray[np.int64]:
        error = ERROR_BOUND if self._draw_error else 0
        lower, upper = contributors * (self._lower - error), contributors * (self._upper + error)
        if opened.min() < lower or opened.max() > upper:
            raise PlaintextOutOfRange(f"a sum of {contributors} replies has a value outside [{lower}, {upper}]")
        return opened


def _is_piece(count: int, missing: int) -> bool:
    """Return true if a piece of ``count`` values may come when ``missing`` are left: whole blocks, or all of them."""
    return 0 < count == missing or (0 < count < missing and count % DEGREE == 0)


def is_error_needed(noise: NoiseTerms) -> bool:
    """Return true if the pad must draw errors, false if every party's noise share already is one."""
    # The pad is proven with errors that are discrete Gaussians.
    return noise.gaussian_variance is None or noise.share_variance < ERROR_FREE_VARIANCE


def padded_packing(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return the packing of the key of one reply's pad under ``terms`` into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: members of the roster.
        key: the federation's public key.

    Raises:
        CapacityExceeded: sums of this number of replies could exceed 32 bits, values, noise and errors together; the
            message gives the numbers.
    """
    error = ERROR_BOUND if is_error_needed(terms.noise) else 0
    check_headroom(terms.encoding, terms.noise, parties, modulus_bits=PAD_MODULUS_BITS, error=error)
    return key_packing(parties, key.plaintext_bits)
