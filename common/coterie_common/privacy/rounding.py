# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Stochastic rounding of reals to integers: unbiased, exact, vectorised.

A real y becomes one of its two neighbouring integers, ⌊y⌋ + 1 with probability y − ⌊y⌋, so that the expectation is y
itself. The variance is at most 1/4.

**How.** Signs are set aside: rounding |y| and restoring the sign has the same distribution. |y| is a double, and so
its fraction f is an exact binary number. |y| becomes ⌊|y|⌋ + 1 iff U < f for a uniform real U in [0, 1). Eight bits of
U decide unless they equal the first eight of f, once in 256 values. Then 32 further bits of the *same* U at a time are
compared with those of f, until they differ or f has none left (then U ≥ f). No bit is drawn twice and every decision
holds for every completion of U, so the probabilities are exact: there is no bias to bound.

**Two vectors, one U.** The distribution of the result is that of ⌊y + U⌋. Where two vectors y, y' are rounded, their
results have a joint distribution with the same U for both, in which every coordinate differs by less than |y − y'| +
1, hence the whole by less than ‖y − y'‖ + √d. Sensitivities after rounding rest on that, and on nothing that is
random.

Not constant time: the rare further comparison is not.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from coterie_common.privacy.strips import Float64Array, Int64Array
from coterie_common.randomness import RandomSource

_CHUNK: Final = 1 << 15
"""Values at a time: the temporaries stay in the second-level cache."""

_FIRST: Final = 256.0
_FURTHER: Final = 2.0**32


def round_stochastically(values: Float64Array, random: RandomSource, out: Int64Array | None = None) -> Int64Array:
    """Round every value to one of its two neighbouring integers, with its own value as expectation.

    Args:
        values: Float64[count], contiguous, finite, below 2^53 in magnitude; not changed. Doubles from there on are
            integers already.
        random: source of 8 bits per value and few more.
        out: Int64[count] to write to, contiguous; a new array if None.

    Returns:
        ``out``. Integers stay as they are.

    Distribution: independent for every value; exact, given uniform bits.
    """
    result = np.empty(values.shape, dtype=np.int64) if out is None else out
    scaled = np.empty(min(_CHUNK, values.size), dtype=np.float64)
    for start in range(0, values.size, _CHUNK):
        chunk, part = values[start : start + _CHUNK], result[start : start + _CHUNK]
        magnitudes = np.abs(chunk, out=scaled[: chunk.size])
        magnitudes *= _FIRST  # a power of two: exact
        part[:] = magnitudes  # towards 0: the integer part of |y|, then the first eight bits of f
        uniforms = np.frombuffer(random.token_bytes(chunk.size), dtype=np.uint8)
        undecided = np.flatnonzero(part.astype(np.uint8) == uniforms)
        if undecided.size:
            rest: Float64Array = magnitudes[undecided] - part[undecided].astype(np.float64)
            rounded_up = _lazily_below(rest, random)
        # Adding 255 − u carries into the integer part iff the first eight bits of f are above u.
        part += ~uniforms
        part >>= 8
        if undecided.size:
            part[undecided] += rounded_up
        # x ↦ (x ⊕ −1) + 1 = −x where y is negative, (x ⊕ 0) − 0 elsewhere; faster than a masked negation.
        signs = (chunk < 0).view(np.int8)
        np.negative(signs, out=signs)
        part ^= signs
        part -= signs
    return result


def _lazily_below(fractions: Float64Array, random: RandomSource) -> Int64Array:
    """Return 1 where a fresh uniform real in [0, 1) is below the fraction in [0, 1), else 0."""
    below = np.zeros(fractions.size, dtype=np.int64)
    places = np.flatnonzero(fractions > 0)
    rest = fractions[places]
    while places.size:
        rest *= _FURTHER  # a power of two, and the difference is the fraction of a double: both exact
        digits = np.floor(rest)
        rest -= digits
        uniforms = np.frombuffer(random.token_bytes(4 * places.size), dtype="<u4")
        below[places] = uniforms < digits
        undecided = (uniforms == digits) & (rest > 0)
        places, rest = places[undecided], rest[undecided]
    return below
