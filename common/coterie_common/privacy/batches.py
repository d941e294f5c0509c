# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The records that take part in a round: an independent, secret and fresh coin for each record and round.

Amplification of privacy by sampling rests on the public rate, on independent coins, and on only the party knowing how
they fell. The number of records that take part is random too, and no batch is ever padded or truncated.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from coterie_common.errors import StateError
from coterie_common.randomness import RandomSource

_COINS: Final = 1 << 64


def draw_batch(records: int, sampling_rate: Fraction | None, random: RandomSource) -> npt.NDArray[np.bool_]:
    """Draw a Poisson sample.

    Args:
        records: number of the party's records, at least 0.
        sampling_rate: public probability for each, above 0 and at most 1; ``None``: all take part.
        random: the operating system's, never one with a seed.

    Returns:
        Bool[records], true where the record takes part.

    Distribution: independent; each with probability ⌊rate·2^64⌋/2^64, which is at most the rate and so never costs
        more privacy.
    """
    if sampling_rate is None or sampling_rate == 1:
        return np.ones(records, np.bool_)
    if not 0 < sampling_rate < 1:
        raise StateError("a sampling rate must be above 0 and at most 1")
    uniforms = np.frombuffer(random.token_bytes(8 * records), "<u8")
    return uniforms < np.uint64(int(sampling_rate * _COINS))
