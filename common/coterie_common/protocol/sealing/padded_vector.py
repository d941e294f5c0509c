# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A long vector under a pad: covering it piece by piece, and opening a sum of such vectors with the sum of their keys.

Where the noise share is a discrete Gaussian with a standard deviation of 64 units or more, it is the pad's error, and
the opened sum is exact; otherwise the sum holds one error of standard deviation 6.4 per contributor and value.

Invariants:
- Every vector gets its own pad; its key is drawn here, and leaves the pad once.
- Sums do not leave 32 bits: checked against the terms, with the noise that honest replies may have, before anything is
  sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.pads.pad import ERROR_BOUND, ERROR_FREE_VARIANCE, OneTimePad, SummedPad
from coterie_common.crypto.pads.ring import DEGREE
from coterie_common.errors import PlaintextOutOfRange, StateError
from coterie_common.privacy.headroom import PAD_MODULUS_BITS, check_headroom
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.protocol.padded_part import PaddedDigest, PaddedSum, to_octets
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource

PIECE_VALUES: Final = 1 << 20
"""Values that are opened at a time if the caller takes them in pieces."""


class PaddedVectors:
    """The vectors of one round's terms under pads."""

    def __init__(self, terms: RoundTerms, parties: int) -> None:
        """Raise ``CapacityExceeded`` with the numbers if sums of ``parties`` replies could exceed 32 bits."""
        check_padded_capacity(terms, parties)
        self.length: Final = terms.encoding.length
        self._parties: Final = parties
        self._draw_error: Final = is_error_needed(terms.noise)
        self._lower, self._upper = terms.encoding.contribution_range(terms.noise)

    def cover(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[OneTimePad, bytes]:
        """Cover a vector under a new pad; it is never in memory as a whole. Arguments and errors as ``seal_pieces``.

        Returns:
            The pad, whose key is still in it, and the digest of the padded part.
        """
        pad = OneTimePad(session_id, self.length, random, draw_error=self._draw_error)
        digest, missing = PaddedDigest(), self.length
        for values in pieces:
            if values.ndim != 1 or values.dtype != np.int64 or not _is_piece(len(values), missing):
                raise PlaintextOutOfRange(
                    f"a vector of {self.length} int64 values cannot have a piece of shape {values.shape} and "
                    f"type {values.dtype} where {missing} are left"
                )
            missing -= len(values)
            if values.min() < self._lower or values.max() > self._upper:
                raise PlaintextOutOfRange(f"a value lies outside [{self._lower}, {self._upper}]")
            octets = to_octets(pad.cover(values))
            digest.update(octets)
            write(octets)
        if missing:
            raise PlaintextOutOfRange(f"a vector of {self.length} values lacks {missing}")
        return pad, digest.digest()

    def check_sum(self, contributors: int, padded_sum: PaddedSum | None) -> PaddedSum:
        """Return the sum of padded parts; raises ``StateError`` unless both can be those of the terms."""
        if padded_sum is None or len(padded_sum.values) != self.length:
            raise StateError(f"opening needs a padded sum of {self.length} values")
        if not 1 <= contributors <= self._parties:
            raise StateError(f"a sum of {contributors} contributors, where there are at most {self._parties}")
        return padded_sum

    def uncover(
        self, key_sum: NDArray[np.int64], contributors: int, padded_sum: PaddedSum
    ) -> Iterator[NDArray[np.int64]]:
        """Return the sum in pieces of ``PIECE_VALUES``; it holds the errors, if any are drawn.

        Values beyond the range of that number of replies are found piece by piece: a party that seals a key other than
            that of its pad leaves random numbers in the sum.

        Raises:
            InvalidPadKey: the sum of keys has a number that honest keys cannot have; before the first piece.
        """
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


def is_error_needed(noise: NoiseTerms) -> bool:
    """Return true if the pad must draw errors, false if every party's noise share already is one."""
    # The pad is proven with errors that are discrete Gaussians.
    return noise.gaussian_variance is None or noise.share_variance < ERROR_FREE_VARIANCE


def check_padded_capacity(terms: RoundTerms, parties: int) -> None:
    """Check that sums of padded vectors fit, from the terms.

    Args:
        terms: of the round.
        parties: members of the roster.

    Raises:
        CapacityExceeded: sums of this number of replies could exceed 32 bits, values, noise and errors together; the
            message gives the numbers.
    """
    error = ERROR_BOUND if is_error_needed(terms.noise) else 0
    check_headroom(terms.encoding, terms.noise, parties, modulus_bits=PAD_MODULUS_BITS, error=error)


def _is_piece(count: int, missing: int) -> bool:
    """Return true if a piece of ``count`` values may come when ``missing`` are left: whole blocks, or all of them."""
    return 0 < count == missing or (0 < count < missing and count % DEGREE == 0)
