# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Keys and errors of the pad have the distribution that its safety needs, and covered vectors look uniform.

Every test below has a fixed seed and P values from chi-square tests. α = 10^−4 for the whole file, so 10^−4 / 20 =
5·10^−6 for each of at most 20 P values (Bonferroni): had the seeds been drawn at random, correct code would fail this
file once in 10,000 runs. Negative controls show that a wrong distribution is noticed at these sample sizes.

That covered vectors look uniform is no evidence of their secrecy, which rests on ring learning with errors; it shows
that nothing is left out: a pad that is not added, a block that is skipped, numbers of fewer than 32 bits.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from coterie_common.crypto.pads.narrow_gaussian import narrow_gaussian
from coterie_common.crypto.pads.pad import OneTimePad, SummedPad
from coterie_common.crypto.pads.ring import DEGREE
from tests.support.distributions import chi_square_p_value, gaussian_pmf
from tests.support.seeded_random import SeededRandom

ALPHA = 1e-4 / 20
VARIANCE = 6.4**2


def new_pad(length: int, seed: str, *, draw_error: bool = False) -> OneTimePad:
    return OneTimePad(bytes(range(32)), length, SeededRandom(seed), draw_error=draw_error)


def uniform_p_values(covered: NDArray[np.uint32]) -> list[float]:
    """P values of the bytes of 32-bit numbers, each of the four by itself, being uniform."""
    octets = covered.astype("<u4").view(np.uint8).reshape(-1, 4)
    return [stats.chisquare(np.bincount(column, minlength=256)).pvalue for column in octets.T]


@pytest.mark.parametrize("bound", [64, 96])
def test_narrow_gaussian_follows_its_pmf(bound):
    sample = narrow_gaussian(bound).draw(1_000_000, SeededRandom(f"narrow {bound}")).astype(np.int64)
    assert chi_square_p_value(sample, gaussian_pmf(VARIANCE)) > ALPHA


def test_narrow_gaussian_draws_are_independent_of_their_neighbours():
    sample = narrow_gaussian(64).draw(400_000, SeededRandom("neighbours"))
    thirds = np.digitize(sample, [-2, 3])
    table = np.histogram2d(thirds[:-1], thirds[1:], bins=3)[0]
    assert stats.chi2_contingency(table).pvalue > ALPHA


def test_chi_square_of_a_deviation_two_percent_off_rejects():
    sample = narrow_gaussian(64).draw(1_000_000, SeededRandom("narrow 64")).astype(np.int64)
    assert chi_square_p_value(sample, gaussian_pmf(VARIANCE * 1.04)) < 1e-8


def test_keys_follow_the_pmf_of_the_narrow_gaussian():
    keys = np.concatenate([new_pad(1, f"key {number}").take_key().reveal() for number in range(200)])
    assert chi_square_p_value(keys, gaussian_pmf(VARIANCE)) > ALPHA


def test_errors_of_a_sum_follow_the_pmf_of_that_many_errors():
    parties, length = 3, 200_000
    zeros = np.zeros(length, dtype=np.int64)
    key_sum, total = np.zeros(DEGREE, dtype=np.int64), np.zeros(length, dtype=np.uint32)
    for number in range(parties):
        pad = new_pad(length, f"errors {number}", draw_error=True)
        key_sum += pad.take_key().reveal()
        total += pad.cover(zeros)
    errors = SummedPad(bytes(range(32)), key_sum, parties).uncover(total)
    assert chi_square_p_value(errors, gaussian_pmf(VARIANCE).times(parties)) > ALPHA


def test_covered_zeros_are_uniform_in_each_of_their_bytes():
    covered = new_pad(500_000, "uniform").cover(np.zeros(500_000, dtype=np.int64))
    assert min(uniform_p_values(covered)) > ALPHA


def test_vectors_covered_with_two_keys_of_one_session_differ_by_uniform_numbers():
    values = np.arange(300_000, dtype=np.int64)
    difference = new_pad(len(values), "first").cover(values) - new_pad(len(values), "second").cover(values)
    assert min(uniform_p_values(difference)) > ALPHA


def test_chi_square_of_one_block_in_a_hundred_left_uncovered_rejects():
    covered = new_pad(500_000, "uniform").cover(np.zeros(500_000, dtype=np.int64))
    covered[5 * DEGREE : 7 * DEGREE] = 0
    assert min(uniform_p_values(covered)) < 1e-8
