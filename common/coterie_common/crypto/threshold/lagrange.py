# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Interpolation at 0 in integers, and products of powers with exponents of both signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gmpy2 import invert, mpz, powmod

from coterie_common.errors import KeyMismatch


def lagrange_coefficients(delta: int, indices: Sequence[int]) -> dict[int, int]:
    """Return index i → λ_i = Δ·∏ j/(j − i) over the other indices j, so that Σ λ_i·f(i) = Δ·f(0).

    Args:
        delta: Δ = k!.
        indices: distinct, each from 1 to k; as many as f has coefficients.

    Source: Shoup, EUROCRYPT 2000. The formula as printed in some papers repeats i.
    """
    coefficients = {}
    for i in indices:
        numerator, denominator = delta, 1
        for j in indices:
            if j != i:
                numerator *= j
                denominator *= j - i
        coefficients[i] = numerator // denominator
    return coefficients


def signed_product(bases: Mapping[int, int], exponents: Mapping[int, int], modulus: int) -> mpz:
    """Return ``∏ bases[i]**exponents[i] mod modulus`` over the keys of ``exponents``, which may be negative.

    Raises:
        KeyMismatch: a base with a negative exponent is no unit.
    """
    above, below, n = mpz(1), mpz(1), mpz(modulus)
    for i, exponent in exponents.items():
        power = powmod(bases[i], abs(exponent), n)
        if exponent < 0:
            below = below * power % n
        else:
            above = above * power % n
    return above * inverse(below, modulus) % n


def signed_power(base: int, exponent: int, modulus: int) -> mpz:
    """Return ``base**exponent mod modulus``; raises ``KeyMismatch`` where it does not exist."""
    return signed_product({0: base}, {0: exponent}, modulus)


def inverse(value: int, modulus: int) -> mpz:
    """Return the inverse; raises ``KeyMismatch`` where there is none."""
    try:
        return invert(value, modulus)
    except ZeroDivisionError as cause:
        raise KeyMismatch("a value shares a factor with the modulus") from cause
