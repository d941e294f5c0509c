# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checking that a round's sum fits, from the public terms before a job starts and never while it runs."""

from __future__ import annotations

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import PublicKey
from coterie_common.errors import CapacityExceeded
from coterie_common.limits import MAX_CIPHERTEXTS
from coterie_common.privacy.noise.mechanisms import NoiseTerms, Placement
from coterie_common.protocol.sealing.padded_capacity import is_pad_cheaper, padded_packing_for
from coterie_common.protocol.terms import CountTerms, JobTerms, RoundTerms, SealingKind, ValueTerms


def choose_sealing(values: ValueTerms, noise: NoiseTerms, parties: int, plaintext_bits: int) -> SealingKind:
    """Return the sealing of replies under such terms; both sides derive the same.

    Counts without noise are never padded: a pad would draw errors, and the purpose of such a job is exact counts.

    Args:
        values: of the round's terms.
        noise: of the round's terms.
        parties: members of the roster.
        plaintext_bits: usable bits of one plaintext under the federation's key.

    Raises:
        CapacityExceeded: the sum fits no slot under any sealing.
    """
    if isinstance(values, CountTerms) and noise.placement is Placement.NONE:
        return SealingKind.DIRECT
    encoding = values.encoding
    is_padded = is_pad_cheaper(encoding.length, encoding.contribution_range(noise), parties, plaintext_bits)
    return SealingKind.PADDED if is_padded else SealingKind.DIRECT


def packing_for(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return the packing of one reply's encrypted vector, or of the key of its pad, into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: number of members of the roster, and maximum number of replies in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: the sum's range does not fit, or the vector needs too many ciphertexts; the message gives the
            numbers.
    """
    if terms.sealing is SealingKind.PADDED:
        return padded_packing_for(terms, parties, key)
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


def check_capacity(terms: JobTerms, parties: int, key: PublicKey) -> None:
    """Check every round of a job before it starts; raises as ``packing_for``, naming the round."""
    for number, round_terms in enumerate(terms.rounds, start=1):
        try:
            packing_for(round_terms, parties, key)
        except CapacityExceeded as cause:
            raise CapacityExceeded(f"round {number}: {cause.message}") from cause
