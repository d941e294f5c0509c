# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from itertools import combinations, product
from math import factorial

import pytest

from coterie_common.crypto.generation.sharing import (
    Polynomial,
    integer_share_bound,
    interpolate,
    share,
    share_over_integers,
    weights,
)
from tests.support.seeded_random import SeededRandom

PRIME = 2**61 - 1


def test_polynomial_value_is_that_of_plain_integers():
    polynomial = Polynomial((5, 7, 11))
    assert [int(polynomial.at(point)) for point in (1, 2, 3)] == [23, 63, 125]
    assert int(polynomial.at(3, 100)) == 25


@pytest.mark.parametrize("holders", range(3, 10))
def test_weights_interpolate_every_degree_below_the_number_of_holders(holders):
    assert weights(3) == (3, -3, 1)
    for degree in range(holders):
        values = [7 + point**degree if degree else 7 for point in range(1, holders + 1)]
        assert sum(w * v for w, v in zip(weights(holders), values, strict=True)) == 7
    # One degree more than there are values for.
    values = [7 + point**holders for point in range(1, holders + 1)]
    assert sum(w * v for w, v in zip(weights(holders), values, strict=True)) != 7


def test_product_of_two_sharings_and_a_zero_interpolates_to_the_product():
    random = SeededRandom("product")
    a, b, zero = share(1234, 2, PRIME, random), share(5678, 2, PRIME, random), share(0, 4, PRIME, random)
    values = [int(a.at(i, PRIME) * b.at(i, PRIME) + zero.at(i, PRIME)) % PRIME for i in range(1, 6)]
    assert interpolate(values, PRIME) == 1234 * 5678


def test_few_values_of_a_sharing_say_nothing():
    """Exhaustive modulo 7: every pair of values occurs exactly once with every secret."""
    for points in combinations(range(1, 6), 2):
        seen = {
            secret: sorted(
                tuple(int(Polynomial((secret, one, two)).at(point, 7)) for point in points)
                for one in range(7)
                for two in range(7)
            )
            for secret in range(7)
        }
        assert all(values == seen[0] and len(set(values)) == 49 for values in seen.values())


def test_three_values_determine_the_secret_of_degree_two():
    assert len({tuple(int(Polynomial((s, a, b)).at(i, 7)) for i in (1, 2, 4)) for s in range(7)
                for a in range(7) for b in range(7)}) == 7**3  # fmt: skip


def test_integer_sharing_holds_delta_times_the_secret_within_its_bound():
    random = SeededRandom("integers")
    for holders, threshold in ((3, 2), (5, 3), (9, 9)):
        secret = random.randbits(64)
        polynomial = share_over_integers(secret, 64, holders, threshold, random)
        coefficients = polynomial.reveal()
        assert coefficients[0] == factorial(holders) * secret
        assert len(coefficients) == threshold
        length = 64 + factorial(holders).bit_length() + 130
        assert all(0 <= each < 1 << length for each in coefficients[1:])
        for point in range(1, holders + 1):
            assert 0 <= polynomial.at(point) < integer_share_bound(64, holders, threshold, point)


def test_integer_share_bound_is_the_least():
    # Every coefficient at its largest.
    length = 10 + 3 + 130
    largest = 6 * (2**10 - 1) + (2**length - 1) * (2 + 4)
    assert integer_share_bound(10, 3, 3, 2) == 6 * 2**10 + 6 * 2**length > largest


def test_integer_share_modulo_its_index_says_nothing_of_the_secret():
    random = SeededRandom("modulo")
    for secret in (0, 1, 2**60 + 1, 12345):
        polynomial = share_over_integers(secret, 64, 5, 3, random)
        assert [int(polynomial.at(point) % point) for point in range(1, 6)] == [0] * 5


def test_integer_sharing_draws_as_many_bits_as_it_states():
    class Recorder(SeededRandom):
        drawn: list[int]

        def randbits(self, bits: int) -> int:
            self.drawn.append(bits)
            return super().randbits(bits)

    recorder = Recorder("recorder")
    recorder.drawn = []
    share_over_integers(3, 300, 5, 4, recorder)
    assert recorder.drawn == [300 + 7 + 130] * 3


def test_polynomial_reveals_nothing_when_printed():
    assert "12345" not in repr(Polynomial((12345, 1)))


def test_few_values_of_a_sharing_say_nothing_modulo_a_composite_number_either():
    """Exhaustive modulo 35, which has no factor up to 4."""
    for point in range(1, 5):
        seen = {tuple(sorted(int(Polynomial((secret, a)).at(point, 35)) for a in range(35))) for secret in range(35)}
        assert seen == {tuple(range(35))}


@pytest.mark.parametrize(("holders", "modulus"), [(3, 5), (4, 5), (3, 25)])
def test_values_of_a_sharing_of_zero_are_all_that_interpolate_to_zero(holders, modulus):
    """Exhaustive, modulo a prime and not: opened values of a product say its value at 0, and nothing of its factors."""
    drawn = [
        tuple(int(Polynomial((0, *coefficients)).at(point, modulus)) for point in range(1, holders + 1))
        for coefficients in product(range(modulus), repeat=holders - 1)
    ]
    zero = [values for values in product(range(modulus), repeat=holders) if interpolate(values, modulus) == 0]
    assert sorted(drawn) == zero
