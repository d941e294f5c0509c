# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The choice of a sealing, and whether its sums fit: from public terms, before a job starts and never while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

from coterie_common.crypto.masks.mask import SessionMasks
from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pads.pad import key_packing
from coterie_common.crypto.paillier import Encryptor, PublicKey
from coterie_common.errors import CapacityExceeded, StateError
from coterie_common.limits import MAX_MASKED_VALUES
from coterie_common.privacy.noise.mechanisms import NoiseTerms, Placement
from coterie_common.protocol.sealing.complete import (
    CompleteDirectSealing,
    CompletePaddedSealing,
    CompleteSealing,
    check_complete_capacity,
)
from coterie_common.protocol.sealing.direct import DirectSealing, direct_packing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.padded import PaddedSealing, padded_packing
from coterie_common.protocol.sealing.padded_vector import check_padded_capacity
from coterie_common.protocol.terms import CountTerms, JobTerms, RoundTerms, SealingKind, ValueTerms

SealingMaker: TypeAlias = Callable[[RoundTerms, int, Encryptor], EncryptedSealing]
"""The type of ``make_sealing``. It is an argument of the daemons, so that a benchmark can compare with no
sealing."""


def choose_sealing(
    values: ValueTerms, noise: NoiseTerms, parties: int, plaintext_bits: int, *, is_complete: bool = False
) -> SealingKind:
    """Return the sealing of replies under such terms; both sides derive the same.

    Counts without noise are never padded: a pad would draw errors, and the purpose of such a job is exact counts.

    Args:
        values: of the round's terms.
        noise: of the round's terms.
        parties: members of the roster.
        plaintext_bits: usable bits of one plaintext under the federation's key.
        is_complete: true if the job asks for complete sealing.

    Raises:
        CapacityExceeded: the sum fits no slot under any sealing.
    """
    if is_complete:
        is_long = values.encoding.length > MAX_MASKED_VALUES and noise.placement is not Placement.NONE
        return SealingKind.COMPLETE_PADDED if is_long else SealingKind.COMPLETE
    if isinstance(values, CountTerms) and noise.placement is Placement.NONE:
        return SealingKind.DIRECT
    encoding = values.encoding
    is_padded = is_pad_cheaper(encoding.length, encoding.contribution_range(noise), parties, plaintext_bits)
    return SealingKind.PADDED if is_padded else SealingKind.DIRECT


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


def make_sealing(terms: RoundTerms, parties: int, encryptor: Encryptor) -> EncryptedSealing:
    """Return the sealing under the threshold key that a round's terms name.

    Args:
        terms: of the round.
        parties: number of members of the roster, and maximum number of replies in one sum.
        encryptor: for the federation's key.

    Raises:
        CapacityExceeded: the terms do not fit the key, or 32 bits.
        StateError: the terms name complete sealing.
    """
    match terms.sealing:
        case SealingKind.DIRECT:
            return DirectSealing(terms, parties, encryptor)
        case SealingKind.PADDED:
            return PaddedSealing(terms, parties, encryptor)
        case SealingKind.COMPLETE | SealingKind.COMPLETE_PADDED:
            raise StateError("a round that is sealed completely has nothing under the threshold key")
        case _:
            assert_never(terms.sealing)


def make_complete_sealing(terms: RoundTerms, parties: int, masks: SessionMasks | None = None) -> CompleteSealing:
    """Return the complete sealing that a round's terms name.

    Args:
        terms: of the round.
        parties: number of members of the roster, and maximum number of replies in one sum.
        masks: of this party in the session; ``None`` at the aggregator, which only adds and opens.

    Raises:
        CapacityExceeded: the terms do not fit 64 bits, or 32.
        StateError: the terms name a sealing under the threshold key.
    """
    match terms.sealing:
        case SealingKind.COMPLETE:
            return CompleteDirectSealing(terms, parties, masks)
        case SealingKind.COMPLETE_PADDED:
            return CompletePaddedSealing(terms, parties, masks)
        case SealingKind.DIRECT | SealingKind.PADDED:
            raise StateError("a round that is sealed under the threshold key has no masks")
        case _:
            assert_never(terms.sealing)


def check_capacity(terms: JobTerms, parties: int, key: PublicKey) -> None:
    """Check every round of a job before it starts, from public terms.

    Args:
        terms: of the job.
        parties: number of members of the roster, and maximum number of replies in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: the sum of a round, which the message names, does not fit.
    """
    for number, round_terms in enumerate(terms.rounds, start=1):
        try:
            _check_round(round_terms, parties, key)
        except CapacityExceeded as cause:
            raise CapacityExceeded(f"round {number}: {cause.message}") from cause


def _check_round(terms: RoundTerms, parties: int, key: PublicKey) -> None:
    match terms.sealing:
        case SealingKind.DIRECT:
            direct_packing(terms, parties, key)
        case SealingKind.PADDED:
            padded_packing(terms, parties, key)
        case SealingKind.COMPLETE:
            check_complete_capacity(terms, parties)
        case SealingKind.COMPLETE_PADDED:
            check_padded_capacity(terms, parties)
        case _:
            assert_never(terms.sealing)


def packing_for(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return the packing of one reply's encrypted vector, or of the key of its pad, into plaintexts of ``key``.

    Args:
        terms: of the round, sealed under the threshold key.
        parties: number of members of the roster, and maximum number of replies in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: as ``direct_packing`` and ``padded_packing``.
    """
    pack = padded_packing if terms.sealing is SealingKind.PADDED else direct_packing
    return pack(terms, parties, key)
