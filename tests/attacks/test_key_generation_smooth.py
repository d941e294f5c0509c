# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the p − 1 check stops: a holder that makes the survivor open to a number whose group has a small exponent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import gcd, lcm, prod
from typing import Any

import pytest
from gmpy2 import is_prime

from coterie_common.crypto.generation.biprimality import has_smooth_order
from coterie_common.crypto.generation.candidates import FactorShares, Shares, is_well_formed, with_small_factor
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.steps.batches import ProductsStage
from coterie_common.crypto.generation.steps.messages import Step
from coterie_common.crypto.generation.steps.setup import Check, Stage
from coterie_common.errors import GenerationDeviation
from tests.support.joint_generation import Cheat, Holders, make_setups
from tests.support.joint_modulus import make_modulus

PARAMETERS = GenerationParameters._insecure_for_tests(holders=3, decryption_threshold=2, key_bits=256, batch=128)
CHEATER = 2
LARGE = 65537
"""A prime that the p − 1 check does not reach."""


def primes(factor: int) -> Iterator[int]:
    """Yield primes r > 2^20 with r − 1 a multiple of 12·factor that is smooth beside it."""
    powers = ((1, 2, 4, 8, 16), (1, 3, 9), (1, 5), (1, 7), (1, 11), (1, 13), (1, 17), (1, 19))
    for divisors in product(*powers):
        r = 12 * factor * prod(divisors) + 1
        if r > 1 << 20 and is_prime(r):
            yield r


def smooth_number(factor: int = 1) -> tuple[int, int]:
    """Return a product of primes that has the form of an N, and λ of it."""
    found = sorted(primes(factor))
    for count in range(5, 12):
        for start in range(len(found) - count):
            for last in found[start + count :]:
                chosen = [*found[start : start + count], last]
                if prod(chosen).bit_length() == 256:
                    return prod(chosen), lcm(*(r - 1 for r in chosen))
    raise AssertionError("no such number")


def test_number_of_a_small_exponent_is_recognised():
    number, exponent = smooth_number()
    assert is_well_formed(PARAMETERS, number)
    assert with_small_factor([number]) == [False]
    assert exponent < 1 << 32
    assert has_smooth_order(number)
    # One prime factor is enough.
    assert has_smooth_order(make_modulus().modulus * next(primes(1)))


def test_products_of_two_primes_have_no_smooth_order():
    assert not any(has_smooth_order(make_modulus(3, 2, seed=seed).modulus) for seed in range(3))


def test_check_reaches_primes_below_its_bound_only():
    # What remains, and what the docstring claims no more than.
    number, exponent = smooth_number(LARGE)
    assert is_well_formed(PARAMETERS, number)
    assert exponent % LARGE == 0
    assert not has_smooth_order(number)


class MakesSmooth(Cheat):
    """Opens the first candidate to a smooth number, with an exponent that is 0 modulo λ of it.

    A real cheater has to guess for that what the others' shares are modulo λ; this one is lucky, and looks.
    """

    holders: Holders

    def __init__(self) -> None:
        self.number, self.exponent = smooth_number()

    def alter(self, stage: Stage) -> Stage:
        if not isinstance(stage, ProductsStage):
            return stage
        first, third = (self._of(index) for index in (1, 3))
        prime = PARAMETERS.product_modulus
        # Weights 3, −3, 1 at 0.
        opened = (3 * first.shares[0] + third.shares[0] - self.number) * pow(3, -1, prime) % prime
        own = list(stage.record.shares.reveal())
        total = sum(sum(each.record.shares.reveal()[0]) for each in (first, stage, third))
        missing = (self.number + 1 - total) % (4 * self.exponent)
        assert missing % 4 == 0
        own[0] = FactorShares(own[0].p + missing, own[0].q)
        return replace(
            stage, shares=(opened, *stage.shares[1:]), record=replace(stage.record, shares=Shares(tuple(own)))
        )

    def _of(self, index: int) -> Any:
        return self.holders.states[index].stage


def make_smooth(*left_out: Check) -> tuple[Holders, int]:
    cheat = MakesSmooth()
    cheat.holders = Holders(make_setups(PARAMETERS, 1, *left_out), {CHEATER: cheat}, last=frozenset({CHEATER}))
    cheat.holders.run()
    return cheat.holders, cheat.number


def test_without_the_check_a_smooth_number_becomes_the_key_and_falls_apart():
    holders, number = make_smooth(Check.ORDER)
    assert all(each.completed is not None for each in holders.outcomes.values()), holders.outcomes
    key = holders.outcomes[1].key
    assert key is not None
    assert key.public_key.modulus == number
    exponent = smooth_number()[1]
    assert any(1 < gcd(number, pow(2, exponent // prime, number) - 1) < number for prime in (2, 3, 5, 7, 11, 13))


@pytest.mark.parametrize("left_out", [(), (Check.POWERS, Check.PARTS)], ids=["all checks", "products alone"])
def test_with_the_check_its_author_is_named(left_out):
    holders, _ = make_smooth(*left_out)
    assert holders.steps[-2:] == [Step.CLOSING, Step.CLOSING_VERDICT]
    for index, each in holders.outcomes.items():
        assert each.key is None
        if index != CHEATER:
            assert isinstance(each.error, GenerationDeviation)
            assert each.error.culprits == ("holder-2",)
