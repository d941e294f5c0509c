# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from math import gcd

import pytest
from gmpy2 import is_prime, jacobi

from coterie_common.crypto.generation import candidates
from coterie_common.crypto.generation.biprimality import (
    UnitValues,
    base,
    commitment,
    factor_sum,
    is_unit,
    passes,
    power,
    unit_share,
)
from coterie_common.crypto.generation.sharing import share
from tests.support.joint_modulus import SESSION, make_batch, make_modulus, powers, small
from tests.support.seeded_random import SeededRandom


@pytest.mark.parametrize("shape", [(3, 2), (4, 3), (5, 3), (9, 7)], ids=str)
def test_products_of_two_primes_pass_every_test(shape):
    for seed in range(2):
        shared = make_modulus(*shape, seed=seed)
        assert all(map(is_prime, shared.factors))
        assert all(passes(powers(shared.modulus, shared.shares, counter), shared.modulus) for counter in range(40))


def test_other_numbers_fail_soon():
    batch = make_batch(small(batch=128), "other numbers")
    tested = 0
    for candidate in range(batch.choice.candidates):
        p, q = batch.factors(candidate)
        own, modulus = tuple(each[candidate] for each in batch.shares), p * q
        if candidates.with_small_factor([modulus])[0] or (is_prime(p) and is_prime(q)):
            continue
        tested += 1
        # At most 1/2 each.
        assert not all(passes(powers(modulus, own, counter), modulus) for counter in range(40))
    assert tested > 5


def test_powers_multiply_to_the_root_of_the_totient_by_plain_integers():
    shared = make_modulus()
    (p, q), n = shared.factors, shared.modulus
    g = base(SESSION, n, 0)
    assert jacobi(g, n) == 1
    opened = [power(g, n, holder, own) for holder, own in enumerate(shared.shares, start=1)]
    rest = 1
    for value in opened[1:]:
        rest = rest * value % n
    assert opened[0] * pow(rest, -1, n) % n == pow(g, (p - 1) * (q - 1) // 4, n) in (1, n - 1)


def test_any_wrong_power_fails():
    shared = make_modulus()
    right = powers(shared.modulus, shared.shares, 0)
    for holder in right:
        for wrong in (0, 1, right[holder] * 2 % shared.modulus, shared.factors[0]):
            assert not passes({**right, holder: wrong}, shared.modulus)
        assert passes({**right, holder: shared.modulus - right[holder]}, shared.modulus)


def test_base_depends_on_run_number_and_counter():
    n = make_modulus().modulus
    assert len({base(SESSION, n, 0), base(SESSION, n, 1), base(b"other", n, 0), base(SESSION, n + 2, 0)}) == 4


def test_commitment_is_bound_to_run_step_holder_salt_and_values():
    variants = [
        commitment(*arguments)
        for arguments in (
            (SESSION, 5, 1, b"salt", [1, 2]),
            (b"other", 5, 1, b"salt", [1, 2]),
            (SESSION, 6, 1, b"salt", [1, 2]),
            (SESSION, 5, 2, b"salt", [1, 2]),
            (SESSION, 5, 1, b"tlas", [1, 2]),
            (SESSION, 5, 1, b"salt", [1, 3]),
            (SESSION, 5, 1, b"salt", [1, 2, 0]),
        )
    ]
    assert len(set(variants)) == len(variants)


def opened_units(modulus: int, sums: list[int], seed: str) -> dict[int, int]:
    """Return the shares of r·Σ that all holders open."""
    random = SeededRandom(seed)
    drawn = [
        [
            share(secret, degree, modulus, random)
            for secret, degree in ((random.randbelow(modulus), 2), (own, 2), (0, 4))
        ]
        for own in sums
    ]
    return {
        j: unit_share([UnitValues(*(int(each.at(j, modulus)) for each in three)) for three in drawn], modulus)
        for j in range(1, 6)
    }


def test_unit_is_seen_where_the_sum_of_the_factors_less_one_is_prime_to_n():
    shared = make_modulus()
    (p, q), n = shared.factors, shared.modulus
    sums = [factor_sum(holder, own) for holder, own in enumerate(shared.shares, start=1)]
    assert sum(sums) == p + q - 1
    assert gcd(n, p + q - 1) == 1
    assert is_unit(opened_units(n, sums, "unit"), n)
    # The same with a sum that p divides.
    assert not is_unit(opened_units(n, [*sums[:-1], sums[-1] - (q - 1)], "no unit"), n)


def test_opened_unit_says_nothing_but_the_divisor():
    """Exhaustive modulo 15: for any sum that is a unit, r·sum takes every value equally often."""
    for value in (1, 2, 4, 7, 8, 11, 13, 14):
        assert sorted(r * value % 15 for r in range(15)) == list(range(15))
