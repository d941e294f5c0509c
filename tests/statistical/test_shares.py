# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What is released holds the noise that the accountant assumes.

A federation of n = 5 parties with quorum m = 4 and corruption bound c = 1: h = m − c = 3 shares are guaranteed.
Chi-square tests with fixed seeds; α = 10^−4 for the file, 10^−4 / 20 for each of at most 20 P values (Bonferroni).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement
from tests.support.distributions import (
    Pmf,
    chi_square_p_value,
    gaussian_pmf,
    laplace_pmf,
    negated,
    negative_binomial_pmf,
)
from tests.support.noise import noise_terms
from tests.support.seeded_random import SeededRandom

ALPHA = 1e-4 / 20
QUORUM = 4
COLLUDING = 1
GUARANTEED = QUORUM - COLLUDING
COUNT = 200_000


def gaussian_terms(variance: Fraction, placement: Placement = Placement.DISTRIBUTED) -> NoiseTerms:
    return noise_terms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=placement, variance=variance, shares=GUARANTEED)


def laplace_terms(ratio: Fraction, placement: Placement = Placement.DISTRIBUTED) -> NoiseTerms:
    return noise_terms(mechanism=Mechanism.DISCRETE_LAPLACE, placement=placement, ratio=ratio, shares=GUARANTEED)


def sum_of_shares(terms: NoiseTerms, contributors: int, seed: str) -> NDArray[np.int64]:
    """What a release holds: every contributor draws from its own source."""
    shares = [terms.draw_share(COUNT, SeededRandom(f"{seed}, party {i}")) for i in range(contributors)]
    total: NDArray[np.int64] = np.stack(shares).sum(axis=0)
    return total


# 33461/100 is what ID3 gets at ε = 1; at 48 a share has the least standard deviation allowed, 4; at 3/2 the shares
# are so narrow (1/√2) that their sum is visibly no discrete Gaussian.
@pytest.mark.parametrize("variance", [Fraction(33461, 100), Fraction(48), Fraction(3, 2)], ids=str)
def test_release_without_the_colluders_shares_has_the_accounted_distribution(variance):
    terms = gaussian_terms(variance)
    total = sum_of_shares(terms, QUORUM - COLLUDING, f"withheld {variance}")
    assert chi_square_p_value(total, gaussian_pmf(float(variance) / GUARANTEED).times(GUARANTEED)) > ALPHA


def test_release_without_the_colluders_shares_has_at_least_the_promised_variance():
    variance = 48.0
    total = sum_of_shares(gaussian_terms(Fraction(48)), QUORUM - COLLUDING, "variance")
    # (COUNT − 1)·s²/σ² is chi-square distributed but for a kurtosis within 10^−60 of the normal one.
    p_value = stats.chi2.cdf((COUNT - 1) * total.var(ddof=1) / variance, COUNT - 1)
    assert p_value > ALPHA


def test_release_with_all_shares_has_the_variance_of_all_of_them():
    variance = Fraction(48)
    total = sum_of_shares(gaussian_terms(variance), QUORUM, "all")
    pmf = gaussian_pmf(float(variance) / GUARANTEED).times(QUORUM)
    assert chi_square_p_value(total, pmf) > ALPHA
    assert gaussian_terms(variance).aggregate_stddev(QUORUM) == pytest.approx(math.sqrt(48 * QUORUM / GUARANTEED))
    assert math.sqrt(variance_of(pmf)) == pytest.approx(gaussian_terms(variance).aggregate_stddev(QUORUM))


def test_sum_of_wide_shares_is_one_discrete_gaussian():
    total = sum_of_shares(gaussian_terms(Fraction(48)), GUARANTEED, "wide")
    assert chi_square_p_value(total, gaussian_pmf(48.0)) > ALPHA


def test_sum_of_narrow_shares_is_not_one_discrete_gaussian():
    # Negative control: at a share variance of 1/8, far below what the accountant accepts, the difference is large.
    total = sum_of_shares(gaussian_terms(Fraction(3, 8)), GUARANTEED, "narrow")
    assert chi_square_p_value(total, gaussian_pmf(3 / 8)) < 1e-8
    assert chi_square_p_value(total, gaussian_pmf(1 / 8).times(GUARANTEED)) > ALPHA


@pytest.mark.parametrize("ratio", [Fraction(20833, 500_000), Fraction(1, 2)], ids=str)
def test_release_without_the_colluders_laplace_shares_is_the_accounted_discrete_laplace(ratio):
    total = sum_of_shares(laplace_terms(ratio), QUORUM - COLLUDING, f"laplace {ratio}")
    assert chi_square_p_value(total, laplace_pmf(float(ratio))) > ALPHA


def test_release_with_all_laplace_shares_is_the_convolution_of_all_of_them():
    ratio = Fraction(1, 5)
    total = sum_of_shares(laplace_terms(ratio), QUORUM, "all laplace")
    one = negative_binomial_pmf(1 / GUARANTEED, float(ratio))
    pmf = laplace_pmf(float(ratio)) + (one + negated(one))
    assert chi_square_p_value(total, pmf) > ALPHA
    assert math.sqrt(variance_of(pmf)) == pytest.approx(laplace_terms(ratio).aggregate_stddev(QUORUM), rel=1e-6)


def test_release_with_one_laplace_share_fewer_is_not_the_accounted_distribution():
    # Negative control: this is why h counts honest shares only.
    total = sum_of_shares(laplace_terms(Fraction(1, 5)), GUARANTEED - 1, "too few")
    assert chi_square_p_value(total, laplace_pmf(0.2)) < 1e-8


def test_local_shares_are_the_whole_noise_each():
    gaussian = gaussian_terms(Fraction(48), Placement.LOCAL).draw_share(COUNT, SeededRandom("local gaussian"))
    laplace = laplace_terms(Fraction(1, 5), Placement.LOCAL).draw_share(COUNT, SeededRandom("local laplace"))
    assert chi_square_p_value(gaussian, gaussian_pmf(48.0)) > ALPHA
    assert chi_square_p_value(laplace, laplace_pmf(0.2)) > ALPHA


def variance_of(pmf: Pmf) -> float:
    support = pmf.support.astype(np.float64)
    return float((support**2 * pmf.probabilities).sum() - (support * pmf.probabilities).sum() ** 2)
