# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Vectors of the pad: what ``make_vectors`` writes, and how ``test_crypto_vectors`` runs it.

Elements are in their stored (folded) order. ``key_sum`` is N little-endian 16-bit integers. What is long is given by
its first 16 numbers and the SHA-256 digest of all of them as little-endian 32-bit integers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from coterie_common.crypto.pads.expansion import PublicElements
from coterie_common.crypto.pads.pad import OneTimePad, SummedPad
from coterie_common.crypto.pads.ring import DEGREE
from tests.support.negacyclic import pads, public_element
from tests.support.seeded_random import SeededRandom

SESSION_ID = bytes(range(32))
CONTRIBUTORS = 10

Document = dict[str, Any]


def vectors() -> Iterator[tuple[str, Document]]:
    """Yield file name and content."""
    numbers = [0, 1, 48_828]
    elements = [summary(expanded(number)) for number in numbers]
    yield (
        "pad_expansion",
        {"operation": "expand", "session_id": SESSION_ID.hex(), "numbers": numbers, "elements": elements},
    )
    key_sum = np.zeros(DEGREE, dtype=np.int64)
    for number in range(CONTRIBUTORS):
        pad = OneTimePad(SESSION_ID, 1, SeededRandom(f"pad vector {number}"), draw_error=False)
        key_sum += pad.take_key().reveal()
    first, length = 3 * DEGREE, DEGREE + 10
    uncovered = SummedPad(SESSION_ID, key_sum, CONTRIBUTORS).uncover(np.zeros(length, dtype=np.uint32), first)
    document = uncovering(key_sum, first, length)
    yield "pad", {**document, "uncovered": summary(uncovered.astype(np.int32))}
    for defect, number in {"too_large": 243, "too_small": -243}.items():
        spoilt = key_sum.copy()
        spoilt[-1] = number
        yield f"pad_key_sum_{defect}", {**uncovering(spoilt, 0, 1), "expected": {"code": "invalid-pad-key"}}
    yield "pad_key_sum_truncated", {**uncovering(key_sum[:-1], 0, 1), "expected": {"code": "state"}}
    yield "pad_from_within_a_block", {**uncovering(key_sum, 1, 1), "expected": {"code": "state"}}


def uncovering(key_sum: Any, first: int, length: int) -> Document:
    return {
        "operation": "uncover",
        "session_id": SESSION_ID.hex(),
        "contributors": CONTRIBUTORS,
        "key_sum": key_sum.astype("<i2").tobytes().hex(),
        "first": first,
        "zeros": length,
    }


def expanded(number: int) -> Any:
    element = np.empty((1, DEGREE), dtype=np.int32)
    PublicElements(SESSION_ID).expand(number, element)
    return element[0]


def summary(numbers: Any) -> Document:
    digest = hashlib.sha256(numbers.astype("<i4").tobytes()).hexdigest()
    return {"begins": numbers[:16].tolist(), "sha256": digest}


def run_expand(vector: Document) -> None:
    for number, element in zip(vector["numbers"], vector["elements"], strict=True):
        assert summary(expanded(number)) == element
        # The same with another library's cipher.
        assert summary(public_element(bytes.fromhex(vector["session_id"]), number)) == element


def run_uncover(vector: Document) -> None:
    session_id = bytes.fromhex(vector["session_id"])
    key_sum = np.frombuffer(bytes.fromhex(vector["key_sum"]), dtype="<i2").astype(np.int64)
    summed = SummedPad(session_id, key_sum, vector["contributors"])
    length, first = vector["zeros"], vector["first"]
    uncovered = summed.uncover(np.zeros(length, dtype=np.uint32), first)
    assert summary(uncovered.astype(np.int32)) == vector["uncovered"]
    # The same by the definition: convolution of exact integers.
    product = pads(session_id, key_sum, first // DEGREE, -(-length // DEGREE))[:length]
    assert summary((-product.view(np.int32)).astype(np.int32)) == vector["uncovered"]
