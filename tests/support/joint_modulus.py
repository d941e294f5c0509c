# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The arithmetic of a generation with all holders in one place: no messages, no checks, and every share at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from coterie_common.crypto.generation import candidates, leaves
from coterie_common.crypto.generation.biprimality import base, passes, power
from coterie_common.crypto.generation.candidates import CandidateDraws, FactorShares
from coterie_common.crypto.generation.cells import CellDraws, CellPart, Choice, choose
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.sharing import interpolate
from tests.support.seeded_random import SeededRandom

SESSION = b"a session of the tests"


def small(holders: int = 5, decryption_threshold: int = 3, key_bits: int = 256, **changes: int) -> GenerationParameters:
    return GenerationParameters._insecure_for_tests(
        holders=holders, decryption_threshold=decryption_threshold, key_bits=key_bits, **changes
    )


@dataclass(frozen=True)
class Batch:
    """Attributes by holder, in the order of their indices."""

    parameters: GenerationParameters
    cells: tuple[CellDraws, ...]
    draws: tuple[tuple[CandidateDraws, ...], ...]
    parts: tuple[CellPart, ...]
    choice: Choice
    shares: tuple[tuple[FactorShares, ...], ...]

    def factors(self, candidate: int) -> tuple[int, int]:
        """Return p and q, which nobody may know."""
        own = [each[candidate] for each in self.shares]
        return int(sum(each.p for each in own)), int(sum(each.q for each in own))

    def opened(self, candidate: int) -> int:
        """Return N as the holders open it."""
        prime = self.parameters.product_modulus
        polynomials = [
            candidates.polynomials(shares[candidate], draws[candidate])
            for shares, draws in zip(self.shares, self.draws, strict=True)
        ]
        values = []
        for point in self.parameters.indices:
            p, q, zero = (sum(each[n].at(point, prime) for each in polynomials) for n in range(3))
            values.append(int((p * q + zero) % prime))
        return interpolate(values, prime)


def make_batch(parameters: GenerationParameters, seed: object) -> Batch:
    primes = parameters.cell_primes
    cells, draws = [], []
    for holder in parameters.indices:
        own = leaves.Leaves.generate(parameters.leaves, SeededRandom(f"{seed} {holder}")).split()
        context = leaves.context(b"draft", b"nonce", holder, 1)
        cells.append(
            CellDraws.expand(parameters, leaves.streams(context, 0, own[: len(primes)], leaves.STREAM_BYTES), primes)
        )
        size = candidates.stream_bytes(parameters)
        long = leaves.streams(context, len(primes), own[len(primes) :], size)
        draws.append(tuple(candidates.draw(parameters, stream) for stream in long))
    parts = [
        CellPart.total([each.part(parameters, point, primes) for each in cells], primes) for point in parameters.indices
    ]
    choice = choose(parameters, {point: part.product_share(primes) for point, part in enumerate(parts, start=1)})
    shares = [
        candidates.factor_shares(parameters, holder, part, choice, drawn).reveal()
        for holder, part, drawn in zip(parameters.indices, parts, draws, strict=True)
    ]
    return Batch(parameters, tuple(cells), tuple(draws), tuple(parts), choice, tuple(shares))


@dataclass(frozen=True)
class SharedModulus:
    """A product of two primes, and the shares of its factors of every holder in the order of their indices."""

    parameters: GenerationParameters
    modulus: int
    shares: tuple[FactorShares, ...]

    @property
    def factors(self) -> tuple[int, int]:
        return int(sum(each.p for each in self.shares)), int(sum(each.q for each in self.shares))


@cache
def make_modulus(
    holders: int = 5, decryption_threshold: int = 3, key_bits: int = 256, s: int = 1, seed: int = 0
) -> SharedModulus:
    """Find the first candidate that passes one test, reproducibly."""
    parameters = small(holders, decryption_threshold, key_bits, s=s, batch=64)
    attempt = 0
    while True:
        batch = make_batch(parameters, f"modulus {seed} {attempt}")
        moduli = [batch.opened(candidate) for candidate in range(batch.choice.candidates)]
        for candidate, (modulus, rejected) in enumerate(zip(moduli, candidates.with_small_factor(moduli), strict=True)):
            own = tuple(each[candidate] for each in batch.shares)
            if not rejected and passes(powers(modulus, own, 0), modulus):
                return SharedModulus(parameters, modulus, own)
        attempt += 1


def powers(modulus: int, shares: tuple[FactorShares, ...], counter: int) -> dict[int, int]:
    """Return what every holder opens in one test of N."""
    g = base(SESSION, modulus, counter)
    return {holder: power(g, modulus, holder, own) for holder, own in enumerate(shares, start=1)}
