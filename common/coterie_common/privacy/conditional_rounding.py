# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Stochastic rounding of vectors on condition that the integer result is short enough.

A vector x of d values and norm at most c becomes a vector R of integers; it is drawn anew until its squared norm is at
most

    conditional_bound(c, d) = min((c + √d)², c² + d/4 + t·(c + √d/2)),   t ≥ √(2·ln(1/β)), β = 2^−20.

R exceeds the first with probability 0 and the second with probability at most β: the R_i² are independent, are in
intervals no longer than 2|x_i| + 1, and their expectations add up to at most c² + d/4 (Hoeffding). Hence

- the norm of the result is bounded for all x, random bits and rounding of doubles: the integers are checked;
- the expectation differs from x by a vector of norm at most β·√d·(1 + 2β), nothing beside the rounding itself.

``round_blocks`` rounds one long vector block by block, so that the integers of all of it need not be in memory. A block
is drawn anew where it leaves less of the bound than the blocks to come are expected to need. For that, the sum of R_i²
so far must exceed its expectation by as much as above; it is a martingale, so that some block is drawn anew has about
the same probability β.

Source: Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure
Aggregation", 2021.
Deviation: no random rotation before; a long vector is drawn anew in parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from typing import Final

import numpy as np

from coterie_common.privacy.exact import sqrt_above
from coterie_common.privacy.rounding import round_stochastically
from coterie_common.privacy.strips import Float64Array, Int64Array
from coterie_common.privacy.vectors import Rows, squared_norms
from coterie_common.randomness import RandomSource

_DEVIATION: Final = Fraction(527, 100)
"""t: √(2·ln 2^20) = 5.2655…. Drawing anew once in 10^6 vectors costs nothing, a smaller t would save little."""

_EXACT_BITS: Final = 52
"""Squared norms up to 2^52 are added up exactly in doubles; larger ones stay larger."""


def conditional_bound(norm: Fraction, length: int) -> int:
    """Return the maximum squared norm of a rounded vector, computed exactly.

    Args:
        norm: c, bound of the norm before rounding.
        length: d.
    """
    root = sqrt_above(Fraction(length))
    return math.floor(min((norm + root) ** 2, norm**2 + Fraction(length, 4) + _DEVIATION * (norm + root / 2)))


def round_rows(rows: Float64Array, squared_bound: int, random: RandomSource) -> Int64Array:
    """Round every row until its squared norm is at most ``squared_bound``.

    Args:
        rows: Float64[n, d], each of a norm for which ``squared_bound`` is the ``conditional_bound``.
        squared_bound: below 2^62.
        random: source of the rounding.

    Returns:
        Int64[n, d].
    """
    rounded = round_stochastically(rows.reshape(-1), random).reshape(rows.shape)
    while (long := np.flatnonzero(_squares(rounded, squared_bound) > squared_bound)).size:
        rounded[long] = round_stochastically(rows[long].reshape(-1), random).reshape(-1, rows.shape[1])
    return rounded


def round_blocks(row: Rows, factor: float, squared_bound: int, size: int, random: RandomSource) -> Iterator[Int64Array]:
    """Round one row times a factor block by block; the squared norm of all blocks is at most ``squared_bound``.

    Args:
        row: Float32[1, d] or Float64[1, d], finite.
        factor: applied to it first, so that ``squared_bound`` is the ``conditional_bound`` of the product.
        squared_bound: below 2^62.
        size: values of each block but the last.
        random: source of the rounding.

    Yields:
        Int64[≤ size].
    """
    blocks = [row[:, start : start + size] for start in range(0, row.shape[1], size)]
    needs = [float(squared_norms(block)[0]) * factor**2 + block.shape[1] / 4 for block in blocks]
    # The expected need of the blocks after each; 0 for the last, so that the whole remainder is its bound.
    rests = [*accumulate(reversed(needs[1:]), initial=0.0)][::-1]
    left = squared_bound
    for block, rest in zip(blocks, rests, strict=True):
        allowed = left - math.ceil(rest)
        scaled = block[0] * np.float64(factor)
        rounded = round_stochastically(scaled, random)
        while (square := int(_squares(rounded[np.newaxis], squared_bound)[0])) > allowed:
            rounded = round_stochastically(scaled, random)
        left -= square
        yield rounded


def _squares(rounded: Int64Array, bound: int) -> Float64Array | Int64Array:
    """Return the squared norms of rows of integers: exact up to ``bound``, and above it where they are above it."""
    # Doubles hold every partial sum up to 2^53 exactly, and a larger one stays larger than 2^52.
    values = rounded.astype(np.float64) if bound <= 1 << _EXACT_BITS else rounded
    squares: Float64Array | Int64Array = np.einsum("ij,ij->i", values, values)
    return squares
