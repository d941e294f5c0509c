# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Tests whether N is a product of two primes, from shares of them.

With a base g of Jacobi symbol 1, the first holder opens g^{(N+1−p_1−q_1)/4} and the others g^{(p_i+q_i)/4}; for
primes p ≡ q ≡ 3 mod 4 the first is ± the product of the others, because g^{φ/4} = ±1. Where N is the product of the
shared p and q, other numbers pass with probability at most 1/2, but for few with a prime power in a special place: they
have gcd(N, p+q−1) ≠ 1.

A holder can make one candidate open to a number of its own choice, and is named unless that one survives. Then the
exponent has nothing to do with N: all tests hold at once where the exponent is 0 modulo λ(N), with probability about
1/λ(N) however many there are. A product of many primes r has a small λ(N) if every r − 1 divides one smooth number; of
31 bits at |N| = 2048, as a search shows. So the survivor must also pass one step of Pollard's p − 1 method: modulo
every r, the order of 2 then has a prime factor above 2^16, or a prime power above 2^24. The smallest λ(N) that a search
finds has 39 bits at 2048, 42 bits at 3072. One attempt succeeds with that probability, in place of 2^-31; it is not
2^-80.

Powers are committed to with a salt before anybody opens any, under the holder's own index: who opens last cannot choose
its own so that the product fits, and nobody opens another's.

Source: Boneh and Franklin, J. ACM 48 (2001), section 4; Pollard, "Theorems on factorization and primality testing",
1974.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from gmpy2 import gcd, jacobi, mpz, next_prime, powmod

from coterie_common.crypto.generation.candidates import FactorShares
from coterie_common.crypto.generation.parameters import SLACK_BITS
from coterie_common.crypto.generation.sharing import interpolate
from coterie_common.crypto.hashing import Item, Label, tuple_hash

SALT_BYTES: Final = 32

_SMOOTH_PRIMES_BELOW: Final = 1 << 16
_SMOOTH_POWERS_UP_TO: Final = 1 << 24
"""The power takes half a second at 3072 bits. A prime power beyond costs a cheater more than a prime beyond 2^16."""


def base(session_id: bytes, modulus: int, counter: int) -> int:
    """Return the base of one test of N, of Jacobi symbol 1.

    Args:
        session_id: of the generation.
        modulus: N, odd.
        counter: of the test, 0 for the first.
    """
    size = (modulus.bit_length() + SLACK_BITS) // 8 + 1
    attempt = 0
    while True:
        octets = tuple_hash(Label.GENERATION_BASE, session_id, modulus, counter, attempt, digest_bytes=size)
        candidate = int.from_bytes(octets, "big") % modulus
        if jacobi(candidate, modulus) == 1:
            return candidate
        attempt += 1


def power(base_number: int, modulus: int, holder: int, shares: FactorShares) -> int:
    """Return the power that one holder opens; its exponent is an integer because of the residues modulo 4."""
    total = shares.p + shares.q
    exponent = (modulus + 1 - total if holder == 1 else total) // 4
    return int(powmod(base_number, exponent, modulus))


def passes(powers: Mapping[int, int], modulus: int) -> bool:
    """Return whether a test holds, from the powers of all holders by index."""
    product = mpz(1)
    for holder, value in powers.items():
        if gcd(value, modulus) != 1:
            return False
        if holder != 1:
            product = product * value % modulus
    return powers[1] % modulus in (product, modulus - product)


def has_smooth_order(modulus: int) -> bool:
    """Return whether the order of 2 modulo some prime factor of N has small prime powers only.

    A product of two primes of the size of a key has such an order with a probability far below 2^-128.
    """
    return bool(gcd(powmod(2, _smooth_exponent(), modulus) - 1, modulus) != 1)


@cache
def _smooth_exponent() -> mpz:
    """Return the product of the largest prime powers up to their bound, of all primes below theirs."""
    product, prime = mpz(1), mpz(2)
    while prime < _SMOOTH_PRIMES_BELOW:
        power_of_prime = prime
        while power_of_prime * prime <= _SMOOTH_POWERS_UP_TO:
            power_of_prime *= prime
        product, prime = product * power_of_prime, next_prime(prime)
    return product


def commitment(session_id: bytes, step: int, holder: int, salt: bytes, values: Sequence[int]) -> bytes:
    """Return the commitment of one holder to its powers.

    Args:
        session_id: of the generation.
        step: number of the step.
        holder: its index.
        salt: ``SALT_BYTES`` that nobody else knows yet.
        values: the powers.
    """
    items: Item = list(values)
    return tuple_hash(Label.GENERATION_COMMITMENT, session_id, step, holder, salt, items)


class UnitValues(NamedTuple):
    """Values of one holder, of the sharings over Z_N from which gcd(N, p+q−1) = 1 is seen.

    Attributes:
        unit: of r, uniform modulo N.
        factors: of p + q − 1.
        zero: of a sharing of zero with degree k − 1.
    """

    unit: int
    factors: int
    zero: int


def factor_sum(holder: int, shares: FactorShares) -> int:
    """Return one holder's additive share of p + q − 1."""
    return int(shares.p + shares.q - (1 if holder == 1 else 0))


def unit_share(values: Sequence[UnitValues], modulus: int) -> int:
    """Return one holder's share of r·(p+q−1) modulo N, from what it got from everybody.

    Security: everything is shared over Z_N, and N has no factor up to k. The k opened shares are uniform but for their
        value at 0, because zero is shared with degree k − 1; that value is r·(p+q−1) for a uniform r, so one learns the
        greatest common divisor alone. A holder that adds something to the values that others got moves the value at 0
        and sees no more. With integers instead of residues, or zero shared with degree 2g and k even, one would.
    """
    unit, factors, zero = (sum(mpz(each[n]) for each in values) for n in range(3))
    return int((unit * factors + zero) % modulus)


def is_unit(unit_shares: Mapping[int, int], modulus: int) -> bool:
    """Return whether r·(p+q−1) is a unit modulo N, from the shares of all holders by index."""
    return bool(gcd(interpolate([unit_shares[i] for i in sorted(unit_shares)], modulus), modulus) == 1)
