# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sharing among all holders by polynomials: modulo a large number, and over the integers.

Holder i has the value at i. All k values together interpolate at 0 with the integer weights (−1)^{i+1}·C(k, i),
whatever the modulus, if the degree is at most k − 1. A product of two sharings of degree g has degree 2g ≤ k − 1. A
sharing of zero is added before its values are opened, always of degree k − 1 (``GenerationParameters.zero_degree``).

Source: Shamir, "How to share a secret", 1979; Ben-Or, Goldwasser and Wigderson, STOC 1988, products; integer sharing:
Rabin, "A simplified approach to threshold and proactive RSA", CRYPTO '98.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, factorial

from gmpy2 import mpz

from coterie_common.crypto.generation.parameters import SLACK_BITS
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret


class Polynomial(Secret[tuple[mpz, ...]]):
    """Coefficients from the constant one on; the constant one is the secret, the others hide it."""

    @classmethod
    def total(cls, polynomials: Sequence[Polynomial]) -> Polynomial:
        """Return the sum of polynomials of the same degree."""
        return cls(tuple(sum(column, start=mpz(0)) for column in zip(*(p.reveal() for p in polynomials), strict=True)))

    def at(self, point: int, modulus: int | None = None) -> mpz:
        """Return the value at a point, modulo a number or as an integer."""
        value = mpz(0)
        for coefficient in reversed(self.reveal()):
            value = value * point + coefficient
        return value if modulus is None else value % modulus


def weights(holders: int) -> tuple[int, ...]:
    """Return the Lagrange weights at 0 for the values at 1..k: f(0) = Σ w_i·f(i) for every f of degree below k."""
    return tuple((-1) ** (i + 1) * comb(holders, i) for i in range(1, holders + 1))


def interpolate(values: Sequence[int], modulus: int) -> int:
    """Return f(0) modulo a number from f(1), …, f(k), all of them, in this order."""
    total = mpz(0)
    for weight, value in zip(weights(len(values)), values, strict=True):
        total += weight * mpz(value)
    return int(total % modulus)


def share(secret: int, degree: int, modulus: int, random: RandomSource) -> Polynomial:
    """Return a polynomial with uniform coefficients modulo ``modulus`` beside the secret.

    Security: modulo a prime above k, or a number without a factor up to k, ``degree`` values say nothing of the secret.
    """
    drawn = [mpz(random.randbelow(modulus)) for _ in range(degree)]
    return Polynomial((mpz(secret) % modulus, *drawn))


def share_over_integers(
    secret: int, secret_bits: int, holders: int, threshold: int, random: RandomSource
) -> Polynomial:
    """Return a polynomial of degree t − 1 over the integers with the constant coefficient Δ·secret, Δ = k!.

    The others are uniform below 2^{|secret| + |Δ| + 130}.

    Args:
        secret: 0 or more, below ``2**secret_bits``.
        secret_bits: its bound.
        holders: k.
        threshold: t.
        random: source of the coefficients.

    Security: t − 1 values are within 2^-127.5 of independent of the secret at k = 9, and closer for fewer holders. The
        value at j is a multiple of j, whatever the secret.
    """
    length = coefficient_bits(secret_bits, holders)
    drawn = [mpz(random.randbits(length)) for _ in range(threshold - 1)]
    return Polynomial((factorial(holders) * mpz(secret), *drawn))


def coefficient_bits(secret_bits: int, holders: int) -> int:
    """Return the length of the coefficients that hide an integer, |secret| + |Δ| + 130."""
    return secret_bits + factorial(holders).bit_length() + SLACK_BITS + 2


def integer_share_bound(secret_bits: int, holders: int, threshold: int, point: int) -> int:
    """Return the bound of a value at ``point`` of an integer sharing: every honest one is below it."""
    length = coefficient_bits(secret_bits, holders)
    above = sum(point**power for power in range(1, threshold)) << length
    return int((mpz(factorial(holders)) << secret_bits) + above)
