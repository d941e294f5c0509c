# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A reproducible RandomSource for tests: SHAKE-256 of a seed and a counter."""

from __future__ import annotations

import hashlib


class SeededRandom:
    def __init__(self, seed: str | int) -> None:
        self._seed = str(seed).encode()
        self._counter = 0
        self._buffer = b""

    def token_bytes(self, count: int) -> bytes:
        while len(self._buffer) < count:
            block = hashlib.shake_256(self._seed + b"/" + str(self._counter).encode()).digest(max(4096, count))
            self._buffer += block
            self._counter += 1
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out

    def randbits(self, bits: int) -> int:
        size = (bits + 7) // 8
        return int.from_bytes(self.token_bytes(size), "big") >> (8 * size - bits)

    def randbelow(self, bound: int) -> int:
        bits = (bound - 1).bit_length()
        while (value := self.randbits(bits)) >= bound:
            pass
        return value
