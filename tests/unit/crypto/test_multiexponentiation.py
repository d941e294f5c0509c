# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from math import prod

import pytest
from gmpy2 import mpz

from coterie_common.crypto import multiexponentiation
from coterie_common.crypto.multiexponentiation import product_of_powers
from tests.support.dealings import load_dealing
from tests.support.seeded_random import SeededRandom


@pytest.mark.parametrize("count", [1, 2, 12, 124, 500])
@pytest.mark.parametrize("bits", [1, 7, 128])
def test_product_of_powers_equals_single_powers(count, bits):
    modulus = load_dealing().key.public_key.ciphertext_modulus
    random = SeededRandom(f"{count} {bits}")
    bases = [random.randbelow(modulus) for _ in range(count)]
    exponents = [random.randbits(bits) for _ in range(count)]
    expected = prod(pow(base, exponent, modulus) for base, exponent in zip(bases, exponents, strict=True)) % modulus
    result = product_of_powers(bases, exponents, modulus)
    assert result == expected
    assert type(result) is int


@pytest.mark.parametrize("size", range(1, 9))
def test_both_methods_of_every_size_equal_single_powers(size):
    modulus = load_dealing().key.public_key.ciphertext_modulus
    random = SeededRandom(size)
    pairs = [(mpz(random.randbelow(modulus)), random.randbits(bits)) for bits in (0, 1, 64, 100, 128, 128, 128, 128, 9)]
    expected = prod(pow(base, exponent, modulus) for base, exponent in pairs) % modulus
    assert multiexponentiation._by_subsets(pairs, 128, mpz(modulus), size) == expected
    assert multiexponentiation._by_buckets(pairs, 128, mpz(modulus), size) == expected


def test_product_of_powers_of_short_and_long_exponents_equals_single_powers():
    # As in a batch of proofs: commitments to a weight, ciphertexts to weight times challenge.
    modulus = load_dealing().key.public_key.ciphertext_modulus
    random = SeededRandom("mixed")
    bases = [random.randbelow(modulus) for _ in range(60)]
    exponents = [random.randbits(256 if k % 6 else 128) for k in range(60)]
    expected = prod(pow(base, exponent, modulus) for base, exponent in zip(bases, exponents, strict=True)) % modulus
    assert product_of_powers(bases, exponents, modulus) == expected


def test_product_of_powers_with_zero_exponents_is_one():
    assert product_of_powers([5, 7], [0, 0], 101) == 1


def test_product_of_powers_of_nothing_is_one():
    assert product_of_powers([], [], 101) == 1


def test_product_of_powers_of_repeated_bases_adds_exponents():
    assert product_of_powers([5, 5, 5], [3, 3, 1], 101) == pow(5, 7, 101)


def test_product_of_powers_with_unequal_lengths_raises():
    with pytest.raises(ValueError, match="zip"):
        product_of_powers([5, 7], [3], 101)
