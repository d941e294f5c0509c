# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Stochastic rounding has the probabilities that it claims, by itself, under a condition, and in an encoded sum.

Chi-square tests with fixed seeds; α = 10^−4 for the file, 10^−4 / 20 for each of at most 20 P values (Bonferroni).
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from coterie_common.privacy.conditional_rounding import round_blocks, round_rows
from coterie_common.privacy.rounding import round_stochastically
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from tests.support.distributions import Pmf, chi_square_p_value
from tests.support.seeded_random import SeededRandom

ALPHA = 1e-4 / 20
COUNT = 400_000


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    return float(stats.chisquare(counts, counts.sum() * probabilities).pvalue)


# Fractions that the first eight bits decide, that they leave open, and that lie next to 0 and 1; negative ones too.
@pytest.mark.parametrize("value", [0.25, 1 / 3, -1 / 3, 7 + 2.0**-7 + 2.0**-12, -0.996, 2.0**-9, 1000.1])
def test_rounding_goes_up_with_the_probability_of_the_fraction(value):
    rounded = round_stochastically(np.full(COUNT, value), SeededRandom(f"fraction {value}"))
    up = value - math.floor(value)
    counts = np.bincount(rounded - math.floor(value), minlength=2)
    assert chi_square(counts, np.array([1 - up, up])) > ALPHA


def test_rounding_of_neighbouring_values_is_independent():
    # All 2^3 outcomes of three values at neighbouring places, in one call.
    values = np.tile([0.3, -0.55, 0.8], COUNT // 3)
    rounded = np.abs(round_stochastically(values, SeededRandom("independent"))).reshape(-1, 3)
    counts = np.bincount(rounded @ [1, 2, 4], minlength=8)
    probabilities = [
        math.prod(p if bit else 1 - p for p, bit in zip((0.3, 0.55, 0.8), bits[::-1], strict=True))
        for bits in itertools.product((0, 1), repeat=3)
    ]
    assert chi_square(counts, np.array(probabilities)) > ALPHA


def test_rounding_with_too_few_bits_would_be_noticed():
    # Negative control: the same test sees a fraction that is off by 1/256.
    value = 0.25 + 1 / 256
    rounded = round_stochastically(np.full(COUNT, value), SeededRandom("control"))
    assert chi_square(np.bincount(rounded, minlength=2), np.array([0.75, 0.25])) < ALPHA


@pytest.mark.parametrize("blocks", [False, True])
def test_rounding_under_a_condition_is_the_conditional_distribution(blocks):
    # (1/2, 1/4, 1/4) on condition that at most one becomes 1: four outcomes.
    row = np.array([0.5, 0.25, 0.25])
    source = SeededRandom(f"condition {blocks}")
    draws = 20_000
    if blocks:
        # One block: blocks of a vector that is drawn anew in parts need not have the joint distribution.
        rounded = np.array([next(round_blocks(row[np.newaxis], 1.0, 1, 3, source)) for _ in range(draws)])
    else:
        rounded = round_rows(np.tile(row, (draws, 1)), 1, source)
    weights = {(0, 0, 0): 9 / 32, (1, 0, 0): 9 / 32, (0, 1, 0): 3 / 32, (0, 0, 1): 3 / 32}
    counts = np.array([(rounded == outcome).all(axis=1).sum() for outcome in weights])
    assert counts.sum() == draws
    assert chi_square(counts, np.array(list(weights.values())) / sum(weights.values())) > ALPHA


@pytest.mark.parametrize("rounding", Rounding)
def test_an_encoded_sum_has_the_distribution_of_its_roundings(rounding):
    # Twelve records of 0.3 in scaled units: twelve roundings add up to a binomial variable, one to two values.
    codec = VectorEncoding(
        length=10_000, clip_norm=Fraction(100), scale_bits=0, rounding=rounding, units=12, lower=-50, upper=50
    )
    rows = np.full((12, 10_000), 0.3)
    sums = np.concatenate([codec.encode([rows], SeededRandom(f"sum {rounding} {i}")) for i in range(4)])
    pmfs = {Rounding.EACH: Pmf(0, stats.binom.pmf(np.arange(13), 12, 0.3)), Rounding.SUM: Pmf(3, np.array([0.4, 0.6]))}
    assert chi_square_p_value(sums, pmfs[rounding]) > ALPHA
    assert np.all((sums >= 0) & (sums <= 12))
