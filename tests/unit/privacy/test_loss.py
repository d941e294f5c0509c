# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The accountant against brute force: δ(ε) summed over all outcomes of small mechanisms, the exact pmf of h shares."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.loss import (
    LossClass,
    classes_of,
    gaussian_epsilon,
    renyi_epsilon,
    sum_divergence,
)
from tests.support.distributions import Pmf, gaussian_pmf


def delta_by_summation(noises: list[Pmf], shifts: list[int], epsilon: float) -> float:
    """Σ_x max(0, P(x) − e^ε·Q(x)) over all vectors x: Q is P shifted by ``shifts``."""
    upper, lower = np.ones(1), np.ones(1)
    for noise, shift in zip(noises, shifts, strict=True):
        here = np.concatenate((noise.probabilities, np.zeros(shift)))
        there = np.concatenate((np.zeros(shift), noise.probabilities))
        upper, lower = np.outer(upper, here).ravel(), np.outer(lower, there).ravel()
    return float(np.maximum(0, upper - math.exp(epsilon) * lower).sum())


def epsilon_by_summation(noises: list[Pmf], shifts: list[int], delta: float) -> float:
    low, high = 0.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_by_summation(noises, shifts, middle) > delta else (low, middle)
    return high


def release(values: int, shift: int, variance: Fraction, shares: int) -> tuple[LossClass, list[Pmf], list[int]]:
    noise = gaussian_pmf(float(variance) / shares, reach=10).times(shares)
    return LossClass(values, shift, variance, shares), [noise] * values, [shift] * values


@pytest.mark.parametrize("delta", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize(
    "releases",
    [
        [release(1, 1, Fraction(16), 3)],
        [release(1, 1, Fraction(5), 2)],
        [release(1, 7, Fraction(90), 4)],
        [release(2, 1, Fraction(12), 2)],
        [release(2, 3, Fraction(64), 3)],
        [release(1, 1, Fraction(12), 3), release(1, 2, Fraction(40), 2)],
        [release(3, 1, Fraction(9), 1)],
        [release(2, 1, Fraction(9), 1), release(1, 2, Fraction(20), 1)],
    ],
    ids=lambda releases: " + ".join(f"{r[0].values}×{r[0].shift}/{r[0].variance}/{r[0].shares}" for r in releases),
)
def test_gaussian_epsilon_is_above_brute_force_and_tight(releases, delta):
    classes = [release[0] for release in releases]
    noises = list(itertools.chain.from_iterable(release[1] for release in releases))
    shifts = list(itertools.chain.from_iterable(release[2] for release in releases))
    true = epsilon_by_summation(noises, shifts, delta)
    accounted = gaussian_epsilon(classes, delta)
    assert true <= accounted <= true * 1.02 + 1e-3


@pytest.mark.parametrize(("variance", "shares"), [(Fraction(1, 4), 2), (Fraction(1, 2), 3), (Fraction(1), 10)], ids=str)
def test_gaussian_epsilon_of_narrow_shares_pays_for_their_sum(variance, shares):
    # Shares this narrow do not add up to a discrete Gaussian; the bound must hold nevertheless.
    item, noises, shifts = release(1, 1, variance * shares, shares)
    assert item.divergence > 1e-4
    assert epsilon_by_summation(noises, shifts, 1e-3) <= gaussian_epsilon([item], 1e-3)


def test_smaller_changes_and_fewer_values_are_never_worse():
    item, noises, _ = release(2, 3, Fraction(40), 2)
    accounted = gaussian_epsilon([item], 1e-4)
    for shifts in itertools.product(range(4), repeat=2):
        assert epsilon_by_summation(noises, list(shifts), 1e-4) <= accounted


@pytest.mark.parametrize("variance", [Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2)], ids=str)
@pytest.mark.parametrize("count", [2, 3, 12])
def test_sum_divergence_bounds_the_log_ratio_to_one_discrete_gaussian(variance, count):
    total = gaussian_pmf(float(variance), reach=12).times(count)
    single = gaussian_pmf(float(variance) * count, reach=8)
    centre = slice(total.first * -1 + single.first, total.first * -1 - single.first + 1)
    observed = float(np.abs(np.log(total.probabilities[centre] / single.probabilities)).max())
    bound = sum_divergence(count, variance)
    assert observed <= bound + 1e-12  # doubles
    if count == 2 and variance <= 1:
        assert bound <= 10 * observed  # loose, but of the right order


def test_sum_divergence_of_wide_shares_vanishes():
    assert sum_divergence(200, Fraction(16)) < 1e-65
    assert sum_divergence(1 << 31, Fraction(16)) < 1e-55
    assert sum_divergence(1, Fraction(1, 1000)) == 0.0


def test_sum_divergence_of_many_is_monotone_where_it_stops_adding_term_by_term():
    values = [sum_divergence(count, Fraction(1, 4)) for count in (999, 1000, 1001, 2000)]
    assert values == sorted(values)


def test_gaussian_epsilon_agrees_with_the_library_composing_value_by_value():
    from dp_accounting.pld import privacy_loss_distribution

    classes = [LossClass(8, 1, Fraction(33461, 100), 3), LossClass(7, 1, Fraction(29279, 100), 3)]
    total = privacy_loss_distribution.identity()
    for item in classes:
        single = privacy_loss_distribution.from_discrete_gaussian_mechanism(
            math.sqrt(item.variance), sensitivity=item.shift, use_connect_dots=True
        )
        total = total.compose(single.self_compose(item.values))
    expected = total.get_epsilon_for_delta(1e-5)
    assert expected * 0.9999 <= gaussian_epsilon(classes, 1e-5) <= expected * 1.001


def test_gaussian_epsilon_of_wide_noise_in_blocks_is_that_of_the_scaled_mechanism():
    # σ = 10^6 needs blocks of integers; the same mechanism at σ = 1000 does not.
    wide = gaussian_epsilon([LossClass(4, 10**5, Fraction(10**12), 1)], 1e-5)
    narrow = gaussian_epsilon([LossClass(4, 10**2, Fraction(10**6), 1)], 1e-5)
    assert narrow <= wide <= narrow * 1.001


def test_gaussian_epsilon_where_delta_covers_everything_is_small_but_not_zero():
    assert 0 < gaussian_epsilon([LossClass(1, 1, Fraction(10**6), 3)], 0.01) < 1e-5


def test_gaussian_epsilon_with_shares_too_narrow_for_a_bound_raises():
    with pytest.raises(UnsupportedMechanism, match="scale the values"):
        gaussian_epsilon([LossClass(1, 1, Fraction(1, 2), 3)], 1e-5)
    with pytest.raises(UnsupportedMechanism, match="too far from a discrete Gaussian"):
        gaussian_epsilon([LossClass(100, 1, Fraction(3, 4), 3)], 1e-5)


def test_gaussian_epsilon_of_a_delta_below_double_precision_raises():
    with pytest.raises(UnsupportedMechanism, match="too small to account for"):
        gaussian_epsilon([LossClass(1, 1, Fraction(100), 3)], 1e-13)


def test_gaussian_epsilon_of_too_many_kinds_of_rounds_raises():
    with pytest.raises(UnsupportedMechanism, match="kinds of rounds"):
        gaussian_epsilon([LossClass(1, 1, Fraction(100 + i), 3) for i in range(65)], 1e-5)


def test_renyi_epsilon_without_a_finite_bound_raises():
    with pytest.raises(UnsupportedMechanism, match="no finite epsilon"):
        renyi_epsilon((2, 3), (math.inf, math.inf), 1e-5)


def test_renyi_epsilon_of_almost_nothing_is_not_zero():
    assert renyi_epsilon((2, 3), (1e-12, 1.5e-12), 1e-2) >= 1e-12


def test_classes_of_nothing_is_nothing():
    assert classes_of([]) == ()
