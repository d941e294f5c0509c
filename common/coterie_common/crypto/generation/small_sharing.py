# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Shamir's sharing modulo small primes, for all cells of a batch at once: one row per cell, each with its own prime.

All arrays are Int64 with entries from 0 to ℓ − 1. Values before reduction stay below 2^11·9^9 < 2^40 for primes below
2^11, nine holders and degree 8, so that one remainder per value is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common.crypto.generation.sharing import weights
from coterie_common.errors import InternalError

Int64Array: TypeAlias = npt.NDArray[np.int64]
UInt16Array: TypeAlias = npt.NDArray[np.uint16]

MAX_PRIME: Final = 1 << 11
_WORDS: Final = 1 << 16


def draw(words: UInt16Array, primes: Int64Array, count: int) -> Int64Array:
    """Return Int64[cells, count], uniform modulo the prime of each row, from uniform 16-bit words.

    Words from the largest multiple of ℓ on are passed over, so the result is exactly uniform.

    Args:
        words: UInt16[cells, width]; at most one in 32 is passed over, so some 30 words more than ``count`` always do.
        primes: Int64[cells], each below ``MAX_PRIME``.
        count: numbers per cell.
    """
    bounds = (_WORDS - _WORDS % primes)[:, None]
    drawn = words[:, :count].astype(np.int64)
    retry = np.flatnonzero((drawn >= bounds).any(axis=1))
    if len(retry):
        rows = words[retry].astype(np.int64)
        refused = rows >= bounds[retry]
        # 34 words of 52 would have to be passed over, each with probability below 2^-5: it happens in no one's life.
        if (refused.sum(axis=1) > rows.shape[1] - count).any():
            raise InternalError("more random words were passed over than there can be")
        order = np.argsort(refused, axis=1, kind="stable")[:, :count]
        drawn[retry] = np.take_along_axis(rows, order, axis=1)
    return drawn % primes[:, None]


def evaluate(coefficients: Int64Array, point: int, primes: Int64Array, *, first_power: int = 0) -> Int64Array:
    """Return Int64[cells], the values at ``point`` of polynomials modulo the prime of each row.

    Args:
        coefficients: Int64[cells, terms]; column n belongs to the power ``first_power + n``.
        point: 1 to 9.
        primes: Int64[cells].
        first_power: 1 for a sharing of zero, which has no constant term.
    """
    powers = np.array([point ** (first_power + term) for term in range(coefficients.shape[1])], np.int64)
    values: Int64Array = (coefficients * powers).sum(axis=1) % primes
    return values


def interpolate(values: Sequence[Int64Array], primes: Int64Array) -> Int64Array:
    """Return Int64[cells], f(0) of each row from the values at 1..k, all of them, in this order."""
    total = np.zeros(len(primes), np.int64)
    for weight, value in zip(weights(len(values)), values, strict=True):
        total += weight * value
    return total % primes
