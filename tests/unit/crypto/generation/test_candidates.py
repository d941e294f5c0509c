# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest
from gmpy2 import is_prime, primorial

from coterie_common.crypto.generation import candidates
from coterie_common.crypto.generation.candidates import is_well_formed, with_small_factor
from tests.support.joint_modulus import make_batch, make_modulus, small


@pytest.mark.parametrize("holders", [3, 4, 5, 8, 9])
def test_every_candidate_has_its_exact_length_and_residues(holders):
    parameters = small(holders, holders, 256, batch=32)
    batch = make_batch(parameters, f"candidates {holders}")
    for candidate in range(batch.choice.candidates):
        p, q = batch.factors(candidate)
        for number in (p, q):
            assert number.bit_length() == 128
            assert number % 4 == 3
            assert all(number % prime == 2 for prime in parameters.residue_primes)
            assert all(number % prime for prime in parameters.sieve_primes)
        modulus = batch.opened(candidate)
        assert modulus == p * q
        assert modulus.bit_length() == 256
        assert modulus % 4 == 1
        assert all(modulus % prime == 4 % prime for prime in parameters.residue_primes)
        assert is_well_formed(parameters, modulus)


def test_shares_of_all_but_the_first_holder_are_multiples():
    batch = make_batch(small(), "multiples")
    for holder, shares in enumerate(batch.shares, start=1):
        for each in shares:
            bound = batch.parameters.multiples * batch.parameters.share_modulus
            for number in each:
                assert (number % 60 == 0) == (holder != 1)
                assert 0 <= number - (batch.parameters.top if holder == 1 else 0) < bound


def test_no_residue_of_a_factor_is_fixed_but_the_public_ones():
    batch = make_batch(small(batch=64), "residues")
    factors = [p for candidate in range(64) for p in batch.factors(candidate)]
    # 128 draws of 6 residues miss one with probability 6·(5/6)^128 < 2^-31.
    assert {p % 7 for p in factors} == set(range(1, 7))
    assert {p % 8 for p in factors} == {3, 7}


@pytest.mark.parametrize(
    "wrong", [lambda n: n - 1, lambda n: n + 2, lambda n: n + 60, lambda n: n >> 8, lambda n: n << 4, lambda n: 0]
)
def test_number_of_another_form_is_recognised(wrong):
    shared = make_modulus()
    assert is_well_formed(shared.parameters, shared.modulus)
    changed = wrong(shared.modulus)
    # 60 more keeps every residue.
    assert is_well_formed(shared.parameters, changed) == (changed == shared.modulus + 60)


def test_small_factors_are_found_up_to_their_bound():
    below, above = 1048573, 1048583
    assert is_prime(below)
    assert is_prime(above)
    moduli = [below * above, above * above, 0, 7 * above, above, int(primorial(100))] * 30
    assert with_small_factor(moduli) == [True, False, True, True, False, True] * 30
    assert with_small_factor([]) == []


@pytest.mark.parametrize(("holders", "g"), [(3, 1), (4, 1), (8, 3)])
def test_draws_are_read_from_the_stream_in_their_order(holders, g):
    parameters = small(holders, holders, 256)
    prime, multiples = parameters.product_modulus, parameters.multiples
    stream = bytes(n * 37 % 251 for n in range(candidates.stream_bytes(parameters)))
    width_m = -(-(multiples.bit_length() + 128) // 8)
    width_c = -(-(prime.bit_length() + 128) // 8)
    assert len(stream) == 32 + 2 * width_m + (2 * g + holders - 1) * width_c
    numbers = [int.from_bytes(stream[32 + n * width_m :][:width_m], "big") % multiples for n in range(2)]
    rest = stream[32 + 2 * width_m :]
    coefficients = [int.from_bytes(rest[n * width_c :][:width_c], "big") % prime for n in range(2 * g + holders - 1)]
    draws = candidates.draw(parameters, stream)
    assert draws.multiples == tuple(numbers)
    assert (draws.p, draws.q) == (tuple(coefficients[:g]), tuple(coefficients[g : 2 * g]))
    assert draws.zero == tuple(coefficients[2 * g :])
