# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""When a vector is padded, whether its sums fit 32 bits, and what is the pad's error: all from public terms."""

from __future__ import annotations

from typing import Final

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pad import ERROR_BOUND, ERROR_FREE_VARIANCE, key_packing
from coterie_common.crypto.paillier import PublicKey
from coterie_common.errors import CapacityExceeded
from coterie_common.privacy.noise import Mechanism, NoiseTerms
from coterie_common.protocol.terms import RoundTerms

_SUM_MOST: Final = (1 << 31) - 1


def is_error_needed(noise: NoiseTerms) -> bool:
    """Tell whether the pad must draw errors, or every party's noise share is one already."""
    return (
        noise.variance is None
        or noise.mechanism is not Mechanism.DISCRETE_GAUSSIAN
        or noise.share_variance < ERROR_FREE_VARIANCE
    )


def is_pad_cheaper(length: int, value_range: tuple[int, int], parties: int, key: PublicKey) -> bool:
    """Tell whether a vector is to be padded: unless it needs no more ciphertexts than the pad's key would.

    Args:
        length: of the vector.
        value_range: the encoding's ``contribution_range``.
        parties: members of the roster; so many replies may meet in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: the sum fits no slot, however it is sealed.
    """
    direct = Packing(length, *value_range, parties, key.plaintext_bits)
    return direct.plaintexts > key_packing(parties, key.plaintext_bits).plaintexts


def padded_packing_for(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return how the key of the pad of one reply under ``terms`` is packed into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: members of the roster.
        key: the federation's public key.

    Raises:
        CapacityExceeded: sums of so many replies could leave 32 bits, values, noise and errors together; says the
            numbers.
    """
    noise = terms.noise
    lower, upper = terms.encoding.contribution_range(noise)
    tail = noise.share_tail()
    largest = max(-(lower + tail), upper - tail)
    besides = noise.sum_tail(parties) + (parties * ERROR_BOUND if is_error_needed(noise) else 0)
    if parties * largest + besides > _SUM_MOST:
        raise CapacityExceeded(
            f"sums of {parties} replies of up to ±{largest} each, and of noise up to ±{besides}, do not fit the "
            "32 bits of a padded vector: use a coarser scale or narrower bounds"
        )
    return key_packing(parties, key.plaintext_bits)
