# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest
from gmpy2 import is_prime, isqrt

from coterie_common.crypto.generation.parameters import BATCH, GenerationParameters, shareable_modulus
from coterie_common.errors import ConfigurationError


def small(**changes: int) -> GenerationParameters:
    return GenerationParameters._insecure_for_tests(
        **({"holders": 5, "decryption_threshold": 3, "key_bits": 256} | changes)
    )


@pytest.mark.parametrize(("key_bits", "last"), [(2048, 661), (3072, 1033), (4096, 1423)])
def test_sieve_primes_reach_as_far_as_they_may(key_bits, last):
    parameters = GenerationParameters(holders=5, decryption_threshold=3, key_bits=key_bits)
    product = 1
    for prime in parameters.sieve_primes:
        assert is_prime(prime)
        product *= prime
    assert parameters.sieve_primes[0] == 7
    assert parameters.sieve_primes[-1] == last
    assert product < 1 << (key_bits // 2 - 100)
    assert parameters.share_modulus == product * 60


@pytest.mark.parametrize("holders", range(3, 10))
@pytest.mark.parametrize("key_bits", [256, 2048])
def test_factors_stay_between_the_root_of_a_half_and_one(holders, key_bits):
    parameters = small(holders=holders, decryption_threshold=holders, key_bits=key_bits)
    half = key_bits // 2
    assert parameters.top % parameters.share_modulus == 0
    assert parameters.top**2 >= 1 << (2 * half - 1)
    assert (parameters.top - parameters.share_modulus) ** 2 < 1 << (2 * half - 1)
    assert parameters.top >= isqrt(1 << (2 * half - 1))
    # The largest p: every share has its largest multiple and the largest residue.
    largest = parameters.top + holders * (parameters.multiples * parameters.share_modulus - 1)
    assert largest < 1 << half
    assert parameters.multiples.bit_length() > 80


def test_residues_make_delta_prime_to_the_order():
    assert [small(holders=k, decryption_threshold=k).residue_modulus for k in range(3, 10)] == [
        12, 12, 60, 60, 420, 420, 420,
    ]  # fmt: skip


@pytest.mark.parametrize(("holders", "degree"), [(3, 1), (4, 1), (5, 2), (6, 2), (7, 3), (8, 3), (9, 4)])
def test_degree_is_below_half_of_the_holders(holders, degree):
    assert small(holders=holders, decryption_threshold=holders).degree == degree


@pytest.mark.parametrize("holders", range(3, 10))
def test_shareable_modulus_is_the_next_without_a_factor_up_to_k(holders):
    for above in (1, 100, 209, 1 << 320, (1 << 320) + 7):
        modulus = shareable_modulus(above, holders)
        assert all(modulus % factor for factor in range(2, holders + 1))
        assert all(any(n % factor == 0 for factor in range(2, holders + 1)) for n in range(above + 1, modulus))
    parameters = small(holders=holders, decryption_threshold=holders)
    assert parameters.product_modulus == shareable_modulus(1 << 320, holders)
    assert parameters.product_modulus.bit_length() == 321


@pytest.mark.parametrize("key_bits", [0, 256, 1024, 2047, 8192])
def test_public_constructor_refuses_every_size_that_a_key_may_not_have(key_bits):
    with pytest.raises(ConfigurationError) as raised:
        GenerationParameters(holders=5, decryption_threshold=3, key_bits=key_bits)
    assert raised.value.code == "configuration"


@pytest.mark.parametrize("changes", [{"batch": BATCH - 1}, {"tests": 79}], ids=str)
def test_public_constructor_refuses_fewer_tests_or_another_batch(changes):
    with pytest.raises(ConfigurationError):
        GenerationParameters(**({"holders": 5, "decryption_threshold": 3, "key_bits": 2048} | changes))


@pytest.mark.parametrize(("holders", "threshold"), [(2, 2), (10, 6), (5, 2), (5, 6), (4, 1)])
def test_holders_and_threshold_out_of_range_are_refused(holders, threshold):
    with pytest.raises(ConfigurationError):
        GenerationParameters(holders=holders, decryption_threshold=threshold, key_bits=2048)


def test_digest_differs_with_every_parameter():
    variants = [
        small(),
        small(holders=6, decryption_threshold=4),
        small(decryption_threshold=4),
        small(key_bits=512),
        small(s=2),
        small(batch=33),
        small(tests=9),
    ]
    assert len({each.digest for each in variants}) == len(variants)
