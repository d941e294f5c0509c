# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A reproducible source of randomness for simulations: SHAKE-256 of a seed and a counter.

Anyone who knows the seed knows the noise, so it protects nothing. No daemon can import this module.
"""

from __future__ import annotations

import hashlib
from typing import Final

from typing_extensions import override

from coterie_common.randomness import RandomSource

_BLOCK_BYTES: Final = 4096


class SeededRandom(RandomSource):
    """A ``RandomSource`` that yields the same bits for the same seed; not thread-safe."""

    def __init__(self, seed: str | int) -> None:
        """Start a stream.

        Args:
            seed: anything; different seeds give independent streams.
        """
        self._seed = str(seed).encode()
        self._counter = 0
        self._buffer = b""

    @override
    def token_bytes(self, count: int) -> bytes:
        while len(self._buffer) < count:
            block = hashlib.shake_256(self._seed + b"/" + str(self._counter).encode())
            self._buffer += block.digest(max(_BLOCK_BYTES, count))
            self._counter += 1
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out

    @override
    def randbits(self, bits: int) -> int:
        size = (bits + 7) // 8
        return int.from_bytes(self.token_bytes(size), "big") >> (8 * size - bits)

    @override
    def randbelow(self, bound: int) -> int:
        bits = (bound - 1).bit_length()
        while (value := self.randbits(bits)) >= bound:
            pass
        return value
