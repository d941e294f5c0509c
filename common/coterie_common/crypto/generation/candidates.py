# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Candidates for N: additive shares of their factors, made of cells, and their product, opened modulo a prime.

A holder's share of a number is what the weights make of its values of the cells, put together by the Chinese remainder
theorem with the residues modulo 4 and the odd primes ℓ ≤ k, plus a random multiple of Π·m_0. p and q are then shared
modulo a number above 2^{|N|+64} with degree g, and N is opened from the products and a sharing of zero of degree k − 1.

Source: Boneh and Franklin, J. ACM 48 (2001), section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from gmpy2 import gcd, invert, mpz, primorial

from coterie_common.crypto.generation.cells import CellPart, Choice
from coterie_common.crypto.generation.parameters import SLACK_BITS, GenerationParameters
from coterie_common.crypto.generation.sharing import Polynomial, weights
from coterie_common.crypto.generation.small_sharing import Int64Array
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.secret import Secret

_SMALL_FACTORS_BELOW: Final = 1 << 20
_TOGETHER: Final = 64


class FactorShares(NamedTuple):
    """One holder's additive shares of p and of q."""

    p: mpz
    q: mpz


class Shares(Secret[tuple[FactorShares, ...]]):
    """One holder's additive shares of the factors of all candidates of a batch."""


class CandidateDraws(NamedTuple):
    """What one holder draws for one candidate.

    Attributes:
        multiples: of Π·m_0, for p and for q.
        p: coefficients of p's sharing from the power 1 on.
        q: coefficients of q's.
        zero: coefficients of the sharing of zero.
    """

    multiples: tuple[int, int]
    p: tuple[mpz, ...]
    q: tuple[mpz, ...]
    zero: tuple[mpz, ...]


def stream_bytes(parameters: GenerationParameters) -> int:
    """Return the length of a candidate leaf's stream: its digest, two multiples and 2g + k − 1 coefficients."""
    multiple, coefficient = _widths(parameters)
    return DIGEST_BYTES + 2 * multiple + (2 * parameters.degree + parameters.zero_degree) * coefficient


def draw(parameters: GenerationParameters, stream: bytes) -> CandidateDraws:
    """Read the draws of one candidate from its leaf's stream; each is within 2^-128 of uniform."""
    multiple, coefficient = _widths(parameters)
    start = DIGEST_BYTES + 2 * multiple
    numbers = [
        int.from_bytes(stream[at : at + multiple], "big") % parameters.multiples
        for at in range(DIGEST_BYTES, start, multiple)
    ]
    drawn = [
        mpz(int.from_bytes(stream[at : at + coefficient], "big")) % parameters.product_modulus
        for at in range(start, len(stream), coefficient)
    ]
    g = parameters.degree
    return CandidateDraws((numbers[0], numbers[1]), tuple(drawn[:g]), tuple(drawn[g : 2 * g]), tuple(drawn[2 * g :]))


def _widths(parameters: GenerationParameters) -> tuple[int, int]:
    """Return the bytes of a multiple and of a coefficient in a stream."""
    bounds = parameters.multiples, parameters.product_modulus
    multiple, coefficient = (-(-(bound.bit_length() + SLACK_BITS) // 8) for bound in bounds)
    return multiple, coefficient


def factor_shares(
    parameters: GenerationParameters, holder: int, part: CellPart, choice: Choice, draws: Sequence[CandidateDraws]
) -> Shares:
    """Return one holder's shares of the factors of all candidates.

    Args:
        parameters: of the generation.
        holder: its index.
        part: its values of all cells, summed over all holders.
        choice: the cells of each number.
        draws: its own for each candidate.
    """
    return Shares(tuple(_factor_shares(parameters, holder, part.reveal()[0], choice, draws)))


def _factor_shares(
    parameters: GenerationParameters, holder: int, values: Int64Array, choice: Choice, draws: Sequence[CandidateDraws]
) -> Iterator[FactorShares]:
    modulus, units = _chinese_units(parameters)
    weight = weights(parameters.holders)[holder - 1]
    residues = (weight * values[choice.cells] % parameters.cell_primes[choice.cells]).tolist()
    # Only the first holder's shares are not multiples of m_0.
    first = _first_residue(parameters) if holder == 1 else 0
    top = parameters.top if holder == 1 else 0
    for candidate in range(choice.candidates):
        both = (
            (sum(residue * unit for residue, unit in zip(residues[number], units, strict=True)) + first) % modulus
            + modulus * multiple
            + top
            for number, multiple in zip((2 * candidate, 2 * candidate + 1), draws[candidate].multiples, strict=True)
        )
        yield FactorShares(*both)


@cache
def _chinese_units(parameters: GenerationParameters) -> tuple[mpz, tuple[mpz, ...]]:
    """Return Π·m_0, and for each sieve prime the number that is 1 modulo it and 0 modulo the rest of Π·m_0."""
    modulus = mpz(parameters.share_modulus)
    rests = [(prime, modulus // prime) for prime in parameters.sieve_primes]
    return modulus, tuple(rest * invert(rest, prime) for prime, rest in rests)


@cache
def _first_residue(parameters: GenerationParameters) -> mpz:
    """Return the number modulo Π·m_0 that is 3 modulo 4, 2 modulo the odd primes up to k, and 0 modulo Π."""
    modulus, total = mpz(parameters.share_modulus), mpz(0)
    for prime, residue in ((4, 3), *((prime, 2) for prime in parameters.residue_primes)):
        rest = modulus // prime
        total += residue * rest * invert(rest, prime)
    return total % modulus


def polynomials(shares: FactorShares, draws: CandidateDraws) -> tuple[Polynomial, Polynomial, Polynomial]:
    """Return the holder's polynomials of p, of q and of zero, modulo ``product_modulus``."""
    return (
        Polynomial((shares.p, *draws.p)),
        Polynomial((shares.q, *draws.q)),
        Polynomial((mpz(0), *draws.zero)),
    )


def is_well_formed(parameters: GenerationParameters, modulus: int) -> bool:
    """Return whether N has its exact length and residues: without a deviation it always has."""
    return (
        modulus.bit_length() == parameters.key_bits
        and modulus % 4 == 1
        and all(modulus % prime == 4 % prime for prime in parameters.residue_primes)
    )


def with_small_factor(moduli: Sequence[int]) -> list[bool]:
    """Return for each N whether a prime below 2^20 divides it; 0 counts as divided."""
    found = []
    for start in range(0, len(moduli), _TOGETHER):
        some = moduli[start : start + _TOGETHER]
        # One long remainder for all of them: the product of the primes has 1.5 million bits.
        product = mpz(1)
        for modulus in some:
            product *= modulus or 1
        rest = _small_factors() % product
        found += [modulus == 0 or gcd(rest % modulus, modulus) != 1 for modulus in some]
    return found


@cache
def _small_factors() -> mpz:
    return primorial(_SMALL_FACTORS_BELOW)
