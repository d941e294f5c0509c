# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Key records of the generated kind, made by hand from published primes: INSECURE, and nobody generated them together.

Everything but the primes has the form and the lengths of a key that its holders make: R and f(j) are sums of the
holders' integers, γ = λφ + e·R is public, (A, B) follow from it.
"""

from __future__ import annotations

from functools import cache
from math import factorial, gcd

from gmpy2 import powmod

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import PublicKey, full_nonce_bits
from coterie_common.crypto.threshold import KeyKind, KeyShare, ThresholdPublicKey
from coterie_common.secret import Secret
from tests.support.dealings import load_primes
from tests.support.seeded_random import SeededRandom


def share_bits(key_bits: int, holders: int, decryption_threshold: int) -> int:
    """Return a bound of Σ f_i(j): k polynomials of t coefficients below 2^{|N|+|Δ|+386}, at points up to k."""
    coefficient = key_bits + factorial(holders).bit_length() + 386
    powers = holders.bit_length() * (decryption_threshold - 1)
    return coefficient + powers + holders.bit_length() + decryption_threshold.bit_length()


@cache
def make_generated(holders: int = 5, decryption_threshold: int = 3, s: int = 1, key_bits: int = 512) -> Dealing:
    """Return a record of the generated kind and its shares, reproducibly."""
    p, q = load_primes(key_bits)
    random = SeededRandom(f"generated {key_bits} {holders} {decryption_threshold} {s}")
    modulus, phi = p * q, (p - 1) * (q - 1)
    e, delta = modulus**s, factorial(holders)
    while True:
        secrets = [random.randbits(key_bits + 256) for _ in range(holders)]
        multiple = sum(random.randbelow((e << 128) // holders) for _ in range(holders))
        gamma = multiple * phi + e * sum(secrets)
        if gcd(gamma, e) == 1:
            break
    root_factor = pow(gamma, -1, e)
    offset, rest = divmod(1 - root_factor * gamma, e)
    assert rest == 0
    length = key_bits + 256 + delta.bit_length() + 130
    polynomials = [
        [delta * secret, *(random.randbits(length) for _ in range(decryption_threshold - 1))] for secret in secrets
    ]
    shares = [
        sum(c * index**power for polynomial in polynomials for power, c in enumerate(polynomial))
        for index in range(1, holders + 1)
    ]
    generator, base = -pow(random.randbelow(modulus), 2, modulus) % modulus, pow(random.randbelow(modulus), 2, modulus)
    key = ThresholdPublicKey(
        kind=KeyKind.GENERATED,
        public_key=PublicKey._insecure_for_tests(modulus, s, generator, full_nonce_bits(key_bits)),
        holders=holders,
        decryption_threshold=decryption_threshold,
        root_factor=root_factor,
        root_offset=offset,
        share_bits=share_bits(key_bits, holders, decryption_threshold),
        verification_base=base,
        verification_keys=tuple(int(powmod(base, share, modulus)) for share in shares),
    )
    return Dealing(key, tuple(KeyShare(index, Secret(share)) for index, share in enumerate(shares, start=1)))
