# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Clipping: bounding what one record, or one party, can change in a sum of real vectors.

A vector x becomes x · min(1, c/‖x‖), c the clipping norm. Rounding of doubles must not make it longer than c, so it is
scaled down by a little more:

- ‖x‖² is added up in doubles, in an order that follows from d alone (``ordered_sums``): the factor of a vector depends
  on no other vector. For the bound the order does not matter: with u = 2^−53, d squares and d − 1 additions of
  non-negative numbers are within a factor 1 ± d·u/(1 − d·u) of the true sum, and the root errs by u more.
- The computed norm s is enlarged to s·(1 + (d + 16)·u), twice what that calls for; the rest covers the rounding of the
  factor c/s (3u) and of its product with each number (u).
- Squares below 2^−1074 vanish: d of them are below d·2^−1074, nothing beside c² ≥ 2^−128.

Where x holds NaN, infinity, or numbers whose squares overflow, the computed norm is not finite: such a vector is
refused here, never clipped. A party that refused its round because of it would reveal something about its records at no
privacy cost: it counts such vectors as 0 before they come here. A vector of norm 0 stays as it is.

``clip_and_sum`` adds clipped vectors up in doubles. In any order, each number of the sum of n vectors errs by at most γ
= (n + 1)·u/(1 − (n + 1)·u) times the sum of magnitudes, hence the sum as a vector by at most γ·n·c in norm, and two
sums of neighbouring data sets differ by at most 2·γ·n·c more than exact ones would. ``summation_error`` bounds 2·γ·n.

Invariant: batches are never capped; the sampling alone decides the number of vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common.errors import UnsupportedMechanism, VectorsNotFinite, WrongVectorShape
from coterie_common.privacy.exact import float_below
from coterie_common.privacy.ordered_sums import sum_rows
from coterie_common.privacy.strips import Float64Array

Rows: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""One vector per row, Float32[n, d] or Float64[n, d]."""

MIN_CLIP_NORM: Final = Fraction(1, 1 << 64)
MAX_CLIP_NORM: Final = Fraction(1 << 64)
"""Far beyond any use; between them neither the squares of the rest nor their sum leave the range of doubles."""

TILE: Final = 1 << 16
"""Numbers worked on at a time: their doubles take 512 KiB, about a second-level cache."""

_SUMMED_BITS: Final = 26
"""Adding up 2^26 vectors in doubles errs by as much as one of them."""

_UNIT: Final = 2.0**-53
_MARGIN: Final = 16


def check_clip_norm(clip_norm: Fraction) -> None:
    """Raise ``UnsupportedMechanism`` unless vectors can be clipped to this norm."""
    if not MIN_CLIP_NORM <= clip_norm <= MAX_CLIP_NORM:
        raise UnsupportedMechanism(f"a clipping norm of {float(clip_norm):.6g}: 2^-64 to 2^64 are possible")


def summation_error(count: int) -> Fraction:
    """Return the relative increase of the sensitivity by adding up to ``count`` clipped vectors in doubles.

    n·(n + 2)·2^−52 ≥ 2·n·(n + 1)·u/(1 − (n + 1)·u) where (n + 1)² ≤ 2^53.

    Raises:
        UnsupportedMechanism: too many vectors; the error would be as great as the norm.
    """
    if count >= 1 << _SUMMED_BITS:
        raise UnsupportedMechanism(f"{count} vectors are too many to be added up in doubles")
    return Fraction(count * (count + 2), 1 << 52)


def tiles(rows: Rows) -> Iterator[tuple[slice, slice]]:
    """Cut rows into pieces of at most ``TILE`` numbers: whole rows where they are short, else parts of one row."""
    count, length = rows.shape
    height, width = max(1, TILE // length), min(length, TILE)
    for top in range(0, count, height):
        for left in range(0, length, width):
            yield slice(top, top + height), slice(left, left + width)


def squared_norms(rows: Rows, first_row: int = 0) -> Float64Array:
    """Return the squared norm of every row, in doubles, Float64[n]; a row's bits do not depend on the other rows.

    Raises:
        VectorsNotFinite: a row holds NaN, infinity, or numbers too large to be squared.
    """
    squares = np.zeros(len(rows), dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for vertical, horizontal in tiles(rows):
            tile = rows[vertical, horizontal].astype(np.float64)
            np.multiply(tile, tile, out=tile)
            squares[vertical] += sum_rows(tile)
    bad = np.flatnonzero(~np.isfinite(squares))
    if bad.size:
        raise VectorsNotFinite(
            f"vector {first_row + int(bad[0])}, counted from 0, holds NaN, infinity or numbers too large to be squared"
        )
    return squares


def clip_factors(squares: Float64Array, length: int, clip_norm: Fraction) -> Float64Array:
    """Return the factor for each row, at most 1, that makes its norm at most ``clip_norm`` after rounding.

    Args:
        squares: squared norms of the rows, as ``squared_norms`` returns them.
        length: d, numbers in a row.
        clip_norm: c, between ``MIN_CLIP_NORM`` and ``MAX_CLIP_NORM``.
    """
    check_clip_norm(clip_norm)
    bound = float_below(clip_norm)
    norms = np.sqrt(squares)
    norms *= 1 + (length + _MARGIN) * _UNIT
    factors: Float64Array = bound / np.maximum(norms, bound)
    return factors


def check_shape(rows: Rows, length: int) -> None:
    """Raise ``WrongVectorShape`` unless this is one vector of ``length`` numbers per row."""
    if rows.ndim != 2 or rows.shape[1] != length or rows.dtype not in (np.float32, np.float64):
        raise WrongVectorShape(
            f"expected rows of {length} 32-bit or 64-bit reals, got {rows.dtype} of shape {rows.shape}"
        )


def clip(rows: Rows, clip_norm: Fraction) -> Float64Array:
    """Scale every row down to a norm of at most ``clip_norm``; rows that are short enough stay as they are.

    Args:
        rows: Float32[n, d] or Float64[n, d].
        clip_norm: L2 norm, between ``MIN_CLIP_NORM`` and ``MAX_CLIP_NORM``.

    Returns:
        Float64[n, d]; the exact norm of every row is at most ``clip_norm``.

    Raises:
        VectorsNotFinite: the message names the first row that cannot be clipped, and nothing of its content.
        UnsupportedMechanism: the clipping norm is out of range.

    Privacy: the guarantee holds for the returned doubles, not only for the reals that they stand for.
    """
    factors = clip_factors(squared_norms(rows), rows.shape[1], clip_norm)
    clipped: Float64Array = rows * factors[:, np.newaxis]
    return clipped


def clip_and_sum(batches: Iterable[Rows], clip_norm: Fraction, *, length: int, maximum: int) -> Float64Array:
    """Clip every row and add all of them up in doubles.

    Args:
        batches: Float32[n, length] or Float64[n, length], any number of them, of any n.
        clip_norm: L2 norm of one row.
        length: numbers in a row.
        maximum: maximum number of rows in all; ``summation_error`` is computed for this number.

    Returns:
        Float64[length]. Another row more or less changes it by at most clip_norm·(1 + summation_error(most)) in norm.

    Raises:
        VectorsNotFinite: names the first row that cannot be clipped, counted over all batches.
        WrongVectorShape: rows of another length or type, or more than ``maximum``.
        UnsupportedMechanism: the clipping norm is out of range.
    """
    total = np.zeros(length, dtype=np.float64)
    count = 0
    for rows in batches:
        check_shape(rows, length)
        factors = clip_factors(squared_norms(rows, count), length, clip_norm)
        count += len(rows)
        check_count(count, maximum)
        for vertical, horizontal in tiles(rows):
            total[horizontal] += factors[vertical] @ rows[vertical, horizontal].astype(np.float64, copy=False)
    return total


def check_count(count: int, maximum: int) -> None:
    """Raise ``WrongVectorShape`` if there are more vectors than declared."""
    if count > maximum:
        raise WrongVectorShape(f"more vectors than the {maximum} that there can be")
