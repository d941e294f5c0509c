# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from coterie_common.privacy.conditional_rounding import conditional_bound, round_blocks, round_rows
from coterie_common.privacy.vectors import squared_norms
from tests.support.seeded_random import SeededRandom


def squares(rounded: np.ndarray) -> list[int]:
    return [int((row.astype(object) ** 2).sum()) for row in rounded]


class Counting(SeededRandom):
    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.calls = 0

    def token_bytes(self, count: int) -> bytes:
        self.calls += 1
        return super().token_bytes(count)


@pytest.mark.parametrize(
    ("norm", "length", "expected"),
    [
        (Fraction(1, 2), 1, 2),  # (1/2 + 1)² = 2.25
        (Fraction(3), 1, 16),
        (Fraction(5), 4, 49),
        (Fraction(1000), 4, 1004004),  # (c + √d)²
        (Fraction(1000), 10_000, 1_000_000 + 2500 + 5270 + 263),  # 527/100·(1000 + 50) = 5533.5
    ],
)
def test_conditional_bound_is_the_lesser_of_the_two(norm, length, expected):
    assert conditional_bound(norm, length) == expected
    c, d, t = float(norm), length, math.sqrt(2 * math.log(2**20))
    formula = min((c + math.sqrt(d)) ** 2, c * c + d / 4 + t * (c + math.sqrt(d) / 2))
    assert formula - 1 <= expected <= formula * 1.001 + 1


def test_conditional_bound_grows_with_norm_and_length():
    bounds = [conditional_bound(norm, 50) for norm in (Fraction(1, 7), Fraction(1), Fraction(40), Fraction(10**6, 3))]
    assert bounds == sorted(set(bounds))
    bounds = [conditional_bound(Fraction(40), length) for length in (1, 2, 10, 100, 10**6, 10**8)]
    assert bounds == sorted(set(bounds))


def test_rounded_rows_stay_within_the_bound_for_every_random_choice():
    # Brute force in two dimensions: every vector of norm at most c on a fine grid, every way to round it.
    norm = Fraction(2)
    bound = conditional_bound(norm, 2)
    reached = 0
    for x in itertools.product(np.arange(-2, 2.001, 0.125), repeat=2):
        if x[0] ** 2 + x[1] ** 2 > 4:
            continue
        for outcome in itertools.product(*({math.floor(v), math.ceil(v)} for v in x)):
            reached = max(reached, sum(v * v for v in outcome))
    assert reached <= bound


def test_round_rows_draws_again_only_the_rows_that_are_too_long():
    # Half of the roundings of (1/2, 1/2, …) have more than d/2 ones.
    rows = np.full((400, 9), 0.5)
    rows[::2] = 0.0
    rounded = round_rows(rows, 4, SeededRandom("rows"))
    assert not rounded[::2].any()
    assert max(squares(rounded)) == 4
    assert len({tuple(row) for row in rounded[1::2]}) > 100


def test_round_rows_hardly_ever_draws_again_at_its_own_bound():
    length, norm = 400, Fraction(300)
    rows = np.random.default_rng(1).normal(size=(2000, length))
    rows *= float(norm) / np.linalg.norm(rows, axis=1, keepdims=True)
    source = Counting("own bound")
    rounded = round_rows(rows, conditional_bound(norm, length), source)
    # 800,000 values take 25 chunks of bytes and as many for what eight bits left open, a few of them twice.
    assert source.calls < 60
    assert max(squares(rounded)) <= conditional_bound(norm, length)


def test_round_rows_of_large_numbers_compares_exactly():
    # Squared norms beyond 2^53: a double would not see the last unit.
    rows = np.full((1, 2), 2.0**29 + 0.5)
    minimum, maximum = 2 * (2**29) ** 2, 2 * (2**29 + 1) ** 2
    for bound in (minimum, (2**29) ** 2 + (2**29 + 1) ** 2, maximum):
        assert squares(round_rows(rows, bound, SeededRandom(bound)))[0] <= bound
    assert squares(round_rows(rows, minimum, SeededRandom("exact"))) == [minimum]


@pytest.mark.parametrize("size", [1, 7, 64, 999, 1000, 5000])
def test_round_blocks_together_are_one_rounded_vector_within_the_bound(size):
    row = np.random.default_rng(2).normal(size=(1, 1000))
    norm = Fraction(math.ceil(np.linalg.norm(row[0])))
    bound = conditional_bound(norm * 3, 1000)
    blocks = list(round_blocks(row, 3.0, bound, size, SeededRandom("blocks")))
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    whole = np.concatenate(blocks)
    assert np.all(np.abs(whole - row[0] * 3) < 1)
    assert squares(whole[np.newaxis])[0] <= bound


def test_round_blocks_draws_blocks_again_until_the_whole_fits():
    # A bound at the expectation: about half of all roundings are above it, and still each block is drawn again only a
    # few times.
    row = np.full((1, 4096), 0.5)
    expected = 2048
    source = Counting("tight")
    whole = np.concatenate(list(round_blocks(row, 1.0, expected, 256, source)))
    assert squares(whole[np.newaxis])[0] <= expected
    assert 16 < source.calls < 200  # 16 blocks, one piece of bytes each
    assert 0.4 < whole.mean() <= 0.5


def test_round_blocks_hardly_ever_draws_again_at_its_own_bound():
    row = np.random.default_rng(3).normal(size=(1, 100_000)).astype(np.float32) * 4
    norm = Fraction(math.ceil(math.sqrt(squared_norms(row)[0])))
    source = Counting("own bound")
    list(round_blocks(row, 1.0, conditional_bound(norm, row.size), 1000, source))
    assert source.calls <= 100 * 3
