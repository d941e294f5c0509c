# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The reproducible RandomSource of the tests is the one of simulations."""

from __future__ import annotations

from coterie.simulation.seeded_random import SeededRandom
from coterie_common.randomness import RandomSource

__all__ = ["SeededRandom"]


class ScriptedRandom(RandomSource):
    """A source of which a test writes the methods that it expects to be called; any other call fails the test."""

    def token_bytes(self, count: int) -> bytes:
        raise AssertionError("no bytes are expected to be drawn")

    def randbits(self, bits: int) -> int:
        raise AssertionError("no bits are expected to be drawn")

    def randbelow(self, bound: int) -> int:
        raise AssertionError("no number is expected to be drawn")
