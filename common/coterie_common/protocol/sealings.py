# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The sealing that a round's terms name; ``capacity.choose_sealing`` chose it when the terms were proposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from coterie_common.crypto.paillier import Encryptor
from coterie_common.protocol.padded_sealing import PaddedSealing
from coterie_common.protocol.sealing import DirectSealing, Sealing
from coterie_common.protocol.terms import RoundTerms, SealingKind

SealingMaker: TypeAlias = Callable[[RoundTerms, int, Encryptor], Sealing]
"""What ``make_sealing`` is. Daemons are handed it by whoever starts them, so that a benchmark can compare with none."""


def make_sealing(terms: RoundTerms, parties: int, encryptor: Encryptor) -> Sealing:
    """Return how replies under ``terms`` are sealed, added and opened.

    Args:
        terms: of the round.
        parties: members of the roster; so many replies may meet in one sum.
        encryptor: for the federation's key.

    Raises:
        CapacityExceeded: the terms do not fit the key, or 32 bits.
    """
    kind = PaddedSealing if terms.sealing is SealingKind.PADDED else DirectSealing
    return kind(terms, parties, encryptor)
