# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The sealing that a round's terms name; ``capacity.choose_sealing`` chose it when the terms were proposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from coterie_common.crypto.paillier import Encryptor
from coterie_common.protocol.sealing.direct import DirectSealing, Sealing
from coterie_common.protocol.sealing.padded import PaddedSealing
from coterie_common.protocol.terms import RoundTerms, SealingKind

SealingMaker: TypeAlias = Callable[[RoundTerms, int, Encryptor], Sealing]
"""The type of ``make_sealing``. It is an argument of the daemons, so that a benchmark can compare with no sealing."""


def make_sealing(terms: RoundTerms, parties: int, encryptor: Encryptor) -> Sealing:
    """Return the sealing of replies under ``terms``.

    Args:
        terms: of the round.
        parties: number of members of the roster, and maximum number of replies in one sum.
        encryptor: for the federation's key.

    Raises:
        CapacityExceeded: the terms do not fit the key, or 32 bits.
    """
    kind = PaddedSealing if terms.sealing is SealingKind.PADDED else DirectSealing
    return kind(terms, parties, encryptor)
