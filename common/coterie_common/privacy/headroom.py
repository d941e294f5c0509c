# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checking that sums of encoded vectors fit a modulus, from public terms before a job starts.

A sum beyond the modulus would wrap around silently. Its range is that of the replies' clamped values, of the noise up
to a tail that it exceeds with probability 2^−128 per value, and of the error that the sealing adds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from coterie_common.errors import CapacityExceeded
from coterie_common.limits import MIN_PARTIES
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.privacy.vector_encoding import VectorEncoding

PAD_MODULUS_BITS: Final = 32
"""Padded sums are uint32, read as centred."""


def check_headroom(
    encoding: CountEncoding | VectorEncoding,
    noise: NoiseTerms,
    contributors: int,
    *,
    modulus_bits: int = PAD_MODULUS_BITS,
    error: int = 0,
) -> int:
    """Check that a sum of replies stays within a modulus.

    Args:
        encoding: of the round.
        noise: of the round.
        contributors: maximum number of replies in the sum.
        modulus_bits: sums are taken modulo 2^modulus_bits, centred.
        error: maximum magnitude that the sealing itself adds to a value of each reply.

    Returns:
        The maximum magnitude of a value of the sum, below 2^(modulus_bits − 1).

    Raises:
        CapacityExceeded: it would not be below, or one reply exceeds 62 bits; the message gives the numbers, and those
            that would fit.
    """
    lower, upper = encoding.contribution_range(noise)
    tail = noise.share_tail()
    largest = max(-(lower + tail), upper - tail)
    besides = noise.sum_tail(contributors) + contributors * error
    maximum = (1 << (modulus_bits - 1)) - 1
    greatest = contributors * largest + besides
    if greatest <= maximum:
        return greatest
    refusal = (
        f"sums of {contributors} replies of up to ±{largest} each, and of noise up to ±{besides}, do not fit "
        f"{modulus_bits} bits"
    )
    fitting = (maximum - besides) // contributors
    if fitting < 1:
        raise CapacityExceeded(f"{refusal}: the noise alone is too wide")
    scale = Fraction(2) ** encoding.scale_bits
    ways = [f"bound a party's sums by ±{float(fitting / scale):.4g} instead of ±{float(largest / scale):.4g}"]
    if isinstance(encoding, VectorEncoding) and encoding.units > 1:
        ways.append(f"let {fitting / largest:.2g} times as many records take part in a round")
    if (parties := (maximum - besides) // largest) >= MIN_PARTIES:
        ways.append(f"have at most {parties} parties")
    raise CapacityExceeded(f"{refusal}: {', or '.join(ways)}")
