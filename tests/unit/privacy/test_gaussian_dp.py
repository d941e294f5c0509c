# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from coterie_common.privacy.accounting.gaussian_dp import (
    delta_bounds,
    epsilon_at,
    most_squared_distance,
    squared_distance_of_pure,
)

DELTA = Fraction(1, 10**5)


def true_delta(square: Any, epsilon: Any) -> Any:
    """δ_μ(ε) to fifty digits."""
    with mpmath.workdps(50):
        mu, epsilon = mpmath.sqrt(mpmath.mpf(square)), mpmath.mpf(epsilon)
        return mpmath.ncdf(mu / 2 - epsilon / mu) - mpmath.exp(epsilon) * mpmath.ncdf(-mu / 2 - epsilon / mu)


@pytest.mark.parametrize("square", [1e-9, 1e-3, 0.25, 4.0, 400.0])
@pytest.mark.parametrize("epsilon", [0.0, 1e-4, 0.7, 5.0, 80.0, 700.0, 2000.0])
def test_bounds_enclose_the_true_value_closely(square, epsilon):
    low, high = (float(bound[0]) for bound in delta_bounds(square, np.array([epsilon])))
    true = true_delta(square, epsilon)
    assert low <= true <= high
    assert high - low <= 1e-9 * (1 + epsilon)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(1, DELTA), (2, DELTA), (8, Fraction(1, 10**9)), (Fraction(1, 10), DELTA)]
)
def test_most_squared_distance_is_allowed_and_hardly_more_is_not(epsilon, delta):
    found = most_squared_distance(Fraction(epsilon), delta)
    assert true_delta(float(found), float(epsilon)) <= float(delta)
    assert true_delta(float(found) * 1.0001, float(epsilon)) > float(delta)


def test_most_squared_distance_of_no_delta_is_nothing():
    assert most_squared_distance(Fraction(1), Fraction(0)) == 0


def test_epsilon_at_inverts_it_and_is_infinite_where_delta_does_not_suffice():
    square = most_squared_distance(Fraction(2), DELTA)
    assert epsilon_at(square, Fraction(0), DELTA) == pytest.approx(2, rel=1e-6)
    assert epsilon_at(square, DELTA / 2, DELTA) > 2.05
    assert epsilon_at(square, DELTA, DELTA) == epsilon_at(square, Fraction(0), Fraction(0)) == math.inf
    assert epsilon_at(Fraction(0), Fraction(0), Fraction(0)) == 0


@pytest.mark.parametrize("epsilon", [Fraction(1, 10**8), Fraction(1, 1001), Fraction(1, 10), 1, 3, 40], ids=float)
def test_gaussian_of_pure_epsilon_dominates_randomised_response_at_every_threshold(epsilon):
    square = squared_distance_of_pure(Fraction(epsilon))
    with mpmath.workdps(50):
        whole = mpmath.mpf(Fraction(epsilon).numerator) / Fraction(epsilon).denominator
        chance = 1 / (1 + mpmath.exp(-whole))
        for share in (0, 1e-6, 0.01, 0.3, 0.5, 0.9, 1):
            gamma = mpmath.exp(whole * share)
            response = max(chance - gamma * (1 - chance), 0)
            assert response <= true_delta(mpmath.mpf(square.numerator) / square.denominator, whole * share)
        # At γ = 1 the two touch.
        assert true_delta(mpmath.mpf(float(square)) * (1 - mpmath.mpf("1e-5")), 0) < 2 * chance - 1
