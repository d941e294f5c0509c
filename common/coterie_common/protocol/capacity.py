# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whether a round's sum fits: decided from the public terms before a job starts, never found out while it runs."""

from __future__ import annotations

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import PublicKey
from coterie_common.errors import CapacityExceeded
from coterie_common.limits import CIPHERTEXTS_MOST
from coterie_common.protocol.terms import JobTerms, RoundTerms


def packing_for(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return how one reply under ``terms`` is packed into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: members of the roster; so many replies may meet in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: the sum's range does not fit, or the vector needs too many ciphertexts; says the numbers.
    """
    lower, upper = terms.encoding.contribution_range(terms.noise)
    packing = Packing(
        length=terms.encoding.length,
        lower=lower,
        upper=upper,
        contributors_most=parties,
        plaintext_bits=key.plaintext_bits,
    )
    if packing.plaintexts > CIPHERTEXTS_MOST:
        raise CapacityExceeded(
            f"a reply of {packing.length} values in slots of {packing.slot_bits} bits needs {packing.plaintexts} "
            f"ciphertexts, more than {CIPHERTEXTS_MOST}: ask for fewer values per round, such as fewer nodes or levels"
        )
    return packing


def check_capacity(terms: JobTerms, parties: int, key: PublicKey) -> None:
    """Check every round of a job before it starts; raises as ``packing_for``, naming the round."""
    for number, round_terms in enumerate(terms.rounds, start=1):
        try:
            packing_for(round_terms, parties, key)
        except CapacityExceeded as cause:
            raise CapacityExceeded(f"round {number}: {cause.message}") from cause
