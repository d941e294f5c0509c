# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest

from coterie_common.crypto.pads.narrow_gaussian import VARIANCE, narrow_gaussian
from coterie_common.privacy.strips import enclose_exp
from tests.support.seeded_random import ScriptedRandom, SeededRandom

BOUNDS = [64, 96]
WHOLE = 1 << 128


def exact_weights(minimum: int, maximum: int) -> dict[int, Fraction]:
    """Enclosures of exp(−x²/2σ²) from the sampler of privacy noise, which computes them by itself."""
    return {x: Fraction(enclose_exp(Fraction(x * x) / (2 * VARIANCE), 90)[0]) for x in range(minimum, maximum + 1)}


class Numbers(ScriptedRandom):
    """Hands out given 128-bit numbers: the highest 16 bits as the little-endian word, the rest when asked for."""

    def __init__(self, numbers: list[int]) -> None:
        self.words = np.array([number >> 112 for number in numbers], dtype="<u2").tobytes()
        self.numbers = numbers
        self.further = 0

    def token_bytes(self, count: int) -> bytes:
        assert count == len(self.words)
        return self.words

    def randbits(self, bits: int) -> int:
        assert bits == 112
        self.further += 1
        (number,) = self.numbers
        return number % (1 << bits)


def draw_one(bound: int, number: int) -> tuple[int, int]:
    random = Numbers([number])
    return int(narrow_gaussian(bound).draw(1, random)[0]), random.further


def test_variance_is_that_of_the_standard_deviation_6_4():
    assert Fraction(64, 10) ** 2 == VARIANCE


@pytest.mark.parametrize("bound", BOUNDS)
def test_thresholds_are_within_two_to_the_minus_121_of_the_distribution(bound):
    thresholds = narrow_gaussian(bound)._thresholds
    weights = exact_weights(-bound, bound)
    total = sum(weights.values())
    table = [Fraction(high - low, WHOLE) for low, high in zip((0, *thresholds), thresholds, strict=False)]
    distance = sum(abs(p - weights[x] / total) for x, p in zip(range(-bound, bound + 1), table, strict=True)) / 2
    assert sum(table) == 1
    assert distance < Fraction(1, 2**121)
    assert table == table[::-1]


@pytest.mark.parametrize(("bound", "bits"), [(64, 75), (96, 160)])
def test_what_the_bound_cuts_off_is_as_rare_as_stated(bound, bits):
    weights = exact_weights(0, 4 * bound)
    beyond = 2 * sum(weights[x] for x in range(bound + 1, 4 * bound + 1))
    assert beyond / (2 * sum(weights.values()) - weights[0]) < Fraction(1, 2**bits)


@pytest.mark.parametrize("bound", BOUNDS)
def test_every_cell_that_decides_agrees_with_the_thresholds_at_both_its_ends(bound):
    table = narrow_gaussian(bound)
    decided = [cell for cell in range(1 << 16) if table._cells[cell] != -128]
    for cell in decided:
        ends = cell << 112, ((cell + 1) << 112) - 1
        assert {bisect_right(table._thresholds, end) - bound for end in ends} == {int(table._cells[cell])}
    assert len(decided) > (1 << 16) - 65


@pytest.mark.parametrize("bound", BOUNDS)
def test_draw_at_every_threshold_changes_the_value(bound):
    thresholds = narrow_gaussian(bound)._thresholds
    possible = [x for x in range(-bound, bound + 1) if (0, *thresholds)[x + bound] < thresholds[x + bound]]
    for x in possible:
        assert draw_one(bound, thresholds[x + bound] - 1)[0] == x
        if x < possible[-1]:
            assert draw_one(bound, thresholds[x + bound])[0] == x + 1


def test_draw_of_the_least_and_the_greatest_number_gives_the_bounds():
    assert draw_one(64, 0) == (-64, 1)
    assert draw_one(64, WHOLE - 1) == (64, 1)
    # At this precision, what lies beyond ±84 has no probability.
    assert draw_one(96, 0) == (-84, 1)
    assert draw_one(96, WHOLE - 1) == (84, 1)


def test_draw_that_is_decided_by_its_first_bits_takes_no_more():
    assert draw_one(64, WHOLE // 2) == (0, 0)


def test_draw_is_reproducible_and_within_its_bound():
    sample = narrow_gaussian(64).draw(100_000, SeededRandom("narrow"))
    assert np.array_equal(sample, narrow_gaussian(64).draw(100_000, SeededRandom("narrow")))
    assert sample.dtype == np.int8
    assert -64 <= sample.min() < -20
    assert 20 < sample.max() <= 64


def test_draw_of_nothing_is_empty():
    assert len(narrow_gaussian(64).draw(0, SeededRandom(0))) == 0
