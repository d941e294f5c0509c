# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sums whose order follows from the number of terms alone, so that a record's result never depends on other records.

A matrix product, or a sum along an axis, may add up the last rows of a batch in another order than the rest. Doubles
that are added in another order give other bits, and with numbers such as 2^60, −2^60 and 1 another result altogether.
Then one record more changes the results of others, by an amount that no clipping bounds.

Here every operation is one addition of two arrays, element by element. IEEE 754 rounds each of its elements by itself:
the same terms give the same bits in any batch, at any place in it, and with any number of threads.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from coterie_common.privacy.strips import Float64Array

_FEW: Final = 32
"""Number of columns below which rows are too short to be added piece by piece; they are transposed first."""


def sum_leading(terms: Float64Array) -> Float64Array:
    """Add up along the first axis, halving it until one is left; ``terms`` is used up.

    Args:
        terms: Float64[terms, …], at least one.

    Returns:
        Float64[…], a view of ``terms``.
    """
    count = len(terms)
    while count > 1:
        half = count // 2
        np.add(terms[:half], terms[count - half : count], out=terms[:half])
        count -= half
    total: Float64Array = terms[0]
    return total


def sum_rows(terms: Float64Array) -> Float64Array:
    """Add up every row, halving its length until one number is left; ``terms`` is used up.

    Args:
        terms: Float64[rows, terms], at least one term.

    Returns:
        Float64[rows].
    """
    count = terms.shape[1]
    while count > _FEW:
        half = count // 2
        np.add(terms[:, :half], terms[:, count - half : count], out=terms[:, :half])
        count -= half
    return sum_leading(np.array(terms[:, :count].T, order="C"))
