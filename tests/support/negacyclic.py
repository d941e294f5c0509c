# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Z[X]/(X^N + 1) by the definition: exact integers, coefficients in their natural order, no transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from Crypto.Cipher import AES

from coterie_common.crypto.hashing import Label, tuple_hash

DEGREE = 2048

Array = npt.NDArray[Any]


def product(first: Array, second: Array) -> Array:
    """Return first · second mod X^N + 1 in exact 64-bit integers."""
    assert DEGREE * int(np.abs(first).max()) * int(np.abs(second).max()) < 2**63
    long = np.convolve(first.astype(np.int64), second.astype(np.int64))
    wrapped = long[:DEGREE].copy()
    wrapped[: DEGREE - 1] -= long[DEGREE:]  # X^N = −1
    return wrapped


def fold(coefficients: Array) -> Array:
    """Put coefficients, in their natural order along the last axis, into the order in which they are stored."""
    return np.stack((coefficients[..., : DEGREE // 2], coefficients[..., DEGREE // 2 :]), axis=-1).reshape(
        coefficients.shape
    )


def unfold(stored: Array) -> Array:
    """Return the coefficients in their natural order."""
    return np.concatenate((stored[..., 0::2], stored[..., 1::2]), axis=-1)


def folded_product(first: Array, second: Array) -> Array:
    """Return the product of two stored elements modulo 2^32, stored, as UInt32[N]."""
    return fold(product(unfold(first), unfold(second))).astype(np.uint32)


def public_element(session_id: bytes, number: int) -> Array:
    """Return a_number of a session, stored, from another library's AES."""
    cipher = AES.new(tuple_hash(Label.PAD, session_id), AES.MODE_CTR, nonce=b"", initial_value=number * 512)
    return np.frombuffer(cipher.encrypt(bytes(4 * DEGREE)), dtype="<i4").astype(np.int64)


def pads(session_id: bytes, key: Array, first_block: int, count: int) -> Array:
    """Return a_j ⊛ key of ``count`` blocks modulo 2^32, flat."""
    blocks = range(first_block, first_block + count)
    return np.concatenate([folded_product(public_element(session_id, block), key) for block in blocks])
