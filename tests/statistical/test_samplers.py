# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The exact samplers have the distributions that they say.

Every test below is a chi-square test with a fixed seed. α = 10^−4 for the whole file, so 10^−4 / 50 = 2·10^−6 for
each of at most 50 P values (Bonferroni): had the seeds been drawn at random, a correct sampler would fail this file
once in 10,000 runs. Negative controls show that a wrong distribution is noticed at these sample sizes.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from coterie_common.privacy.sampling import (
    DiscreteGaussian,
    NegativeBinomialDifference,
    gaussian_layout,
    negative_binomial_layout,
)
from tests.support import reference_samplers
from tests.support.distributions import (
    chi_square_p_value,
    gaussian_pmf,
    laplace_pmf,
    negated,
    negative_binomial_pmf,
    same_distribution_p_value,
)
from tests.support.seeded_random import SeededRandom

ALPHA = 1e-4 / 50


@pytest.mark.parametrize(
    "variance",
    [
        Fraction(1, 10),
        Fraction(1, 2),
        Fraction(1),
        Fraction(7, 3),
        Fraction(16),
        Fraction(33461, 100),
        Fraction(10_000),
        Fraction(1_000_001, 3),
    ],
    ids=str,
)
def test_discrete_gaussian_of_any_variance_follows_its_pmf(variance):
    sample = DiscreteGaussian(variance).sample(300_000, SeededRandom(f"gaussian {variance}"))
    assert chi_square_p_value(sample, gaussian_pmf(float(variance))) > ALPHA


def test_discrete_gaussian_with_64_bit_words_follows_its_pmf():
    # σ = 2^13: strips of 512 integers leave too few bits of a 32-bit word.
    sample = DiscreteGaussian(Fraction(2**26)).sample(200_000, SeededRandom("64 bits"))
    assert chi_square_p_value(sample, gaussian_pmf(2.0**26)) > ALPHA


def test_discrete_gaussian_of_huge_variance_is_normal_in_its_high_bits_and_uniform_in_its_low_bits():
    sample = DiscreteGaussian(Fraction(10**12)).sample(200_000, SeededRandom("huge"))
    # Cells of probability 1/500; a discrete Gaussian of σ = 10^6 is within 10^−6 of them.
    quantiles = stats.norm.cdf((sample + 0.5) / 1e6)
    assert stats.chisquare(np.bincount((quantiles * 500).astype(int), minlength=500)).pvalue > ALPHA
    # Strips are 2^15 wide: an error at their edges or in the offset would show here.
    assert stats.chisquare(np.bincount(sample & 0x7FFF, minlength=1 << 15)).pvalue > ALPHA


def test_discrete_gaussian_around_strip_boundaries_follows_its_pmf():
    # σ = 100: strips of 4. Positions 3 and 0 on both sides of each edge, against 1 and 2 in the middle.
    variance = Fraction(10_000)
    sample = np.abs(DiscreteGaussian(variance).sample(1_000_000, SeededRandom("edges")))
    pmf = gaussian_pmf(float(variance))
    folded = np.bincount(np.abs(pmf.support) % 4, weights=pmf.probabilities)
    assert stats.chisquare(np.bincount(sample % 4, minlength=4), folded * len(sample)).pvalue > ALPHA


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(5), Fraction(900)], ids=str)
def test_discrete_gaussian_mostly_from_its_tail_strip_follows_its_pmf(variance):
    layout = gaussian_layout(variance, reach=Fraction(1, 2))
    sample = DiscreteGaussian(variance, layout=layout).sample(6_000, SeededRandom(f"tail {variance}"))
    assert chi_square_p_value(sample, gaussian_pmf(float(variance))) > ALPHA


@pytest.mark.parametrize("variance", [Fraction(7, 3), Fraction(900)], ids=str)
def test_discrete_gaussian_decided_by_further_bits_follows_its_pmf(variance):
    layout = gaussian_layout(variance, first_bits=1, further_bits=1)
    random = CountingRandom(f"undecided {variance}")
    sample = DiscreteGaussian(variance, layout=layout).sample(20_000, random)
    assert random.single_draws > 1_000  # the slow decision was taken, and often
    assert chi_square_p_value(sample, gaussian_pmf(float(variance))) > ALPHA


@pytest.mark.parametrize("variance", [Fraction(1, 10), Fraction(7, 3), Fraction(33461, 100)], ids=str)
def test_discrete_gaussian_and_canonne_kamath_steinke_have_one_distribution(variance):
    random = SeededRandom(f"reference {variance}")
    reference = np.array([reference_samplers.discrete_gaussian(variance, random) for _ in range(10_000)])
    sample = DiscreteGaussian(variance).sample(60_000, random)
    assert same_distribution_p_value(sample, reference) > ALPHA


def test_discrete_gaussian_draws_are_independent_of_their_neighbours():
    sample = DiscreteGaussian(Fraction(4)).sample(400_000, SeededRandom("neighbours"))
    thirds = np.digitize(sample, [-1, 1])
    table = np.histogram2d(thirds[:-1], thirds[1:], bins=3)[0]
    assert stats.chi2_contingency(table).pvalue > ALPHA


def test_chi_square_of_a_variance_four_percent_off_rejects():
    sample = DiscreteGaussian(Fraction(104, 10)).sample(300_000, SeededRandom("wrong variance"))
    assert chi_square_p_value(sample, gaussian_pmf(10.0)) < 1e-8


def test_chi_square_of_a_rounded_normal_rejects_at_small_variance():
    # What a cheap sampler would do: the variance of a rounded normal is larger by 1/12.
    uniforms = np.frombuffer(SeededRandom("rounded").token_bytes(8 * 300_000), dtype="<u8") / 2.0**64
    rounded = np.rint(stats.norm.ppf(uniforms)).astype(np.int64)
    assert chi_square_p_value(rounded, gaussian_pmf(1.0)) < 1e-8


@pytest.mark.parametrize(
    ("ratio", "shares"),
    [
        (Fraction(3), 2),
        (Fraction(1, 2), 1),
        (Fraction(1, 5), 3),
        (Fraction(20833, 500_000), 3),
        (Fraction(1, 24), 133),
        (Fraction(1, 500), 7),
    ],
    ids=str,
)
def test_negative_binomial_difference_follows_its_pmf(ratio, shares):
    sample = NegativeBinomialDifference(ratio, shares).sample(200_000, SeededRandom(f"nb {ratio} {shares}"))
    one = negative_binomial_pmf(1 / shares, float(ratio))
    assert chi_square_p_value(sample, one + negated(one)) > ALPHA


@pytest.mark.slow  # every value is decided in decimal arithmetic, by products of hundreds of factors
def test_negative_binomial_difference_mostly_from_its_tail_strip_follows_its_pmf():
    ratio, shares = Fraction(1, 5), 3
    layout = negative_binomial_layout(ratio, reach=Fraction(1, 10))
    sample = NegativeBinomialDifference(ratio, shares, layout=layout).sample(2_500, SeededRandom("nb tail"))
    one = negative_binomial_pmf(1 / shares, float(ratio))
    assert chi_square_p_value(sample, one + negated(one)) > ALPHA


def test_negative_binomial_difference_decided_by_further_bits_follows_its_pmf():
    ratio, shares = Fraction(1, 5), 3
    layout = negative_binomial_layout(ratio, first_bits=1, further_bits=1)
    random = CountingRandom("nb undecided")
    sample = NegativeBinomialDifference(ratio, shares, layout=layout).sample(10_000, random)
    assert random.single_draws > 1_000
    one = negative_binomial_pmf(1 / shares, float(ratio))
    assert chi_square_p_value(sample, one + negated(one)) > ALPHA


@pytest.mark.slow  # the reference flips thousands of coins per value
def test_negative_binomial_difference_and_geometric_with_coin_flips_have_one_distribution():
    ratio, shares = Fraction(1, 3), 3
    random = SeededRandom("nb reference")
    draws = [reference_samplers.negative_binomial(ratio, shares, random) for _ in range(20_000)]
    reference = np.array(draws[::2]) - np.array(draws[1::2])
    sample = NegativeBinomialDifference(ratio, shares).sample(40_000, random)
    assert same_distribution_p_value(sample, reference) > ALPHA


def test_one_negative_binomial_share_is_the_whole_discrete_laplace():
    sample = NegativeBinomialDifference(Fraction(1, 10), 1).sample(200_000, SeededRandom("whole"))
    assert chi_square_p_value(sample, laplace_pmf(0.1)) > ALPHA


class CountingRandom(SeededRandom):
    """Counts the draws of single further bits, which only the slow decision makes."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.single_draws = 0

    def randbits(self, bits: int) -> int:
        self.single_draws += bits == 32
        return super().randbits(bits)
