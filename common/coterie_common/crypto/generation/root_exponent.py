# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Shares of the root exponent e^{-1} modulo the order of the squares, e = N^s, which nobody knows.

1. Every holder shares an integer R_i of |N| + 256 bits over the integers, Δ·R_i at 0, degree t − 1, with commitments
   C_{i,x} = v^{coefficient}. The values at j of all holders add up to s_j, the share of holder j.
2. Every holder shares λ_i below e·2^128/k and its additive share of φ modulo P, the least shareable modulus above
   4·max γ. It need not be prime: only Δ is inverted.
3. γ = λφ + e·R is opened, R = ∑ R_i: by shares of λφ, by e·Δ^{-1} times the integer shares, and by a sharing of zero.
4. A·γ + B·e = 1, so A·e·R + B·e ≡ 1 modulo the order of the squares: A·R + B = e^{-1}.

γ hides φ: R is longer than λφ/e by 128 bits, and λ hides φ modulo e. P is narrow so that a λ_i that is too long
for that wraps around: modulo a wider one γ would show φ.

Source: Catalano, Gennaro and Halevi, "Computing inverses over a shared secret modulus", EUROCRYPT 2000.
Deviation: commitments are to the coefficients of R_i alone; γ is checked against them: (∏ C_{i,0})^e = v^{Δγ}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial
from typing import Final, NamedTuple

from gmpy2 import divexact, invert, mpz, powmod, powmod_exp_list

from coterie_common.crypto.generation.candidates import FactorShares
from coterie_common.crypto.generation.parameters import SLACK_BITS, GenerationParameters, shareable_modulus
from coterie_common.crypto.generation.sharing import (
    Polynomial,
    integer_share_bound,
    interpolate,
    share_over_integers,
)
from coterie_common.randomness import RandomSource

_SECRET_EXCESS: Final = 2 * SLACK_BITS


def secret_bits(modulus: int) -> int:
    """Return |R_i| = |φ| + 256."""
    return modulus.bit_length() + _SECRET_EXCESS


def multiple_bound(parameters: GenerationParameters, modulus: int) -> int:
    """Return the bound of every λ_i, e·2^128/k."""
    return int((mpz(modulus) ** parameters.s << SLACK_BITS) // parameters.holders)


def max_gamma(parameters: GenerationParameters, modulus: int) -> int:
    """Return a number that γ = λφ + e·R never exceeds."""
    e, k = mpz(modulus) ** parameters.s, parameters.holders
    return int(k * mpz(multiple_bound(parameters, modulus)) * modulus + (e * k << secret_bits(modulus)))


def gamma_modulus(parameters: GenerationParameters, modulus: int) -> int:
    """Return P, the least modulus above 4·max γ that is shareable; no more than Δ above it."""
    return shareable_modulus(4 * max_gamma(parameters, modulus), parameters.holders)


def draw_secret(parameters: GenerationParameters, modulus: int, random: RandomSource) -> Polynomial:
    """Draw R_i and its integer polynomial."""
    bits = secret_bits(modulus)
    threshold = parameters.decryption_threshold
    return share_over_integers(random.randbits(bits), bits, parameters.holders, threshold, random)


def draw_multiple(parameters: GenerationParameters, modulus: int, random: RandomSource) -> int:
    """Draw λ_i."""
    return random.randbelow(multiple_bound(parameters, modulus))


def commit(polynomial: Polynomial, verification_base: int, modulus: int) -> tuple[int, ...]:
    """Return C_{i,x} = v^{coefficient} mod N for every coefficient, from the constant one on."""
    return tuple(map(int, powmod_exp_list(verification_base, list(polynomial.reveal()), modulus)))


def committed_value(commitments: Sequence[int], point: int, modulus: int) -> int:
    """Return v^{f(point)} from the commitments to the coefficients of f."""
    value = mpz(1)
    for commitment in reversed(commitments):
        value = powmod(value, point, modulus) * commitment % modulus
    return int(value)


def is_in_size(parameters: GenerationParameters, modulus: int, holder: int, value: int) -> bool:
    """Return whether a share f_i(j) for holder j is one that an honest holder can send."""
    bound = integer_share_bound(secret_bits(modulus), parameters.holders, parameters.decryption_threshold, holder)
    return 0 <= value < bound


def matches(value: int, holder: int, commitments: Sequence[int], verification_base: int, modulus: int) -> bool:
    """Return whether a share f_i(j) for holder j is the value of the polynomial that its author committed to."""
    return bool(powmod(verification_base, value, modulus) == committed_value(commitments, holder, modulus))


def share_bits(parameters: GenerationParameters, modulus: int) -> int:
    """Return the length of the longest s_j, the sum of one share from every holder."""
    k, t = parameters.holders, parameters.decryption_threshold
    return (k * integer_share_bound(secret_bits(modulus), k, t, k)).bit_length()


def totient_share(holder: int, modulus: int, shares: FactorShares) -> int:
    """Return one holder's additive share of φ = N + 1 − p − q; of any sign."""
    total = shares.p + shares.q
    return int(modulus + 1 - total if holder == 1 else -total)


class GammaValues(NamedTuple):
    """Values of one holder, modulo P: of λ, of φ, and of a sharing of zero with degree k − 1."""

    multiple: int
    totient: int
    zero: int


def gamma_share(
    parameters: GenerationParameters, modulus: int, values: Sequence[GammaValues], root_share: int, gamma_modulus: int
) -> int:
    """Return one holder's share of γ.

    Args:
        parameters: of the generation.
        modulus: N.
        values: from every holder.
        root_share: the sum of the integer shares that this holder got, s_j: the very same.
        gamma_modulus: P.
    """
    e = mpz(modulus) ** parameters.s
    multiple, totient, zero = (sum(mpz(each[n]) for each in values) for n in range(3))
    root = e * invert(factorial(parameters.holders), gamma_modulus) * root_share
    return int((multiple * totient + root + zero) % gamma_modulus)


def open_gamma(parameters: GenerationParameters, gamma_shares: Mapping[int, int], gamma_modulus: int) -> int:
    """Return γ from the shares of all holders modulo P, unchecked."""
    return interpolate([gamma_shares[i] for i in parameters.indices], gamma_modulus)


class RootExponents(NamedTuple):
    """(A, B) with A·γ + B·e = 1."""

    factor: int
    offset: int


def root_exponents(parameters: GenerationParameters, modulus: int, gamma: int) -> RootExponents:
    """Return (A, B) for a γ that is prime to e."""
    e = mpz(modulus) ** parameters.s
    factor = invert(gamma, e)
    return RootExponents(int(factor), int(divexact(1 - factor * gamma, e)))


def is_committed(
    parameters: GenerationParameters, modulus: int, gamma: int, constants: Sequence[int], verification_base: int
) -> bool:
    """Return whether γ = e·R modulo the order of v for the R_i that are committed to: (∏ C_{i,0})^e = v^{Δγ}.

    Args:
        parameters: of the generation.
        modulus: N.
        gamma: γ.
        constants: C_{i,0} of every holder.
        verification_base: v.
    """
    product, n = mpz(1), mpz(modulus)
    for constant in constants:
        product = product * constant % n
    left = powmod(product, n**parameters.s, n)
    return bool(left == powmod(verification_base, factorial(parameters.holders) * mpz(gamma), n))
