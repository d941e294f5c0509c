# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The choice of padding, the capacity of 32-bit sums, and the pad's error, all from public terms."""

from __future__ import annotations

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pads.pad import ERROR_BOUND, ERROR_FREE_VARIANCE, key_packing
from coterie_common.crypto.paillier import PublicKey
from coterie_common.privacy.headroom import PAD_MODULUS_BITS, check_headroom
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.protocol.terms import RoundTerms


def is_error_needed(noise: NoiseTerms) -> bool:
    """Return true if the pad must draw errors, false if every party's noise share already is one."""
    # The pad is proven with errors that are discrete Gaussians.
    return noise.gaussian_variance is None or noise.share_variance < ERROR_FREE_VARIANCE


def is_pad_cheaper(length: int, value_range: tuple[int, int], parties: int, plaintext_bits: int) -> bool:
    """Return true if a vector is to be padded: unless it needs no more ciphertexts than the pad's key would.

    Args:
        length: of the vector.
        value_range: the encoding's ``contribution_range``.
        parties: number of members of the roster, and maximum number of replies in one sum.
        plaintext_bits: usable bits of one plaintext under the federation's key.

    Raises:
        CapacityExceeded: the sum fits no slot under any sealing.
    """
    direct = Packing(length, *value_range, parties, plaintext_bits)
    return direct.plaintexts > key_packing(parties, plaintext_bits).plaintexts


def padded_packing_for(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
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
