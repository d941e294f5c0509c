# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A reproducible RandomSource that remembers how much was drawn: for tests of nonce lengths."""

from __future__ import annotations

from tests.support.seeded_random import SeededRandom


class RecordingRandom(SeededRandom):
    def __init__(self, seed: str | int) -> None:
        super().__init__(seed)
        self.bits: list[int] = []
        self.bounds: list[int] = []
        self.results: list[int] = []

    def randbits(self, bits: int) -> int:
        self.bits.append(bits)
        self.results.append(super().randbits(bits))
        return self.results[-1]

    def randbelow(self, bound: int) -> int:
        self.bounds.append(bound)
        bits = (bound - 1).bit_length()
        while (value := super().randbits(bits)) >= bound:
            pass
        self.results.append(value)
        return value
