# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What all generators of vectors share: the published test key, three ciphertexts under it, the form of a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from tests.support.dealings import load_dealing, load_encryptor, load_primes
from tests.support.seeded_random import SeededRandom

DEALING = load_dealing()
KEY = DEALING.key
PUBLIC = KEY.public_key
ENCRYPTOR = load_encryptor()
P, Q = load_primes()

Document = dict[str, Any]
Documents: TypeAlias = Iterator[tuple[str, Document]]


def refused(operation: str, code: str, check: int | None = None, **values: Any) -> Document:
    expected: Document = {"code": code} if check is None else {"code": code, "check": check}
    return {"operation": operation, **values, "expected": expected}


def sample() -> tuple[list[int], list[Any], tuple[Any, ...]]:
    random = SeededRandom("vectors")
    plaintexts = [0, 1, random.randbelow(PUBLIC.modulus)]
    nonces = [ENCRYPTOR.draw_nonce(random) for _ in plaintexts]
    return plaintexts, nonces, tuple(map(ENCRYPTOR.encrypt, plaintexts, nonces))
