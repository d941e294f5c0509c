# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Pairs that a ledger is charged are held against curves that are computed without any of the product's accountants."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.privacy.accounting.dominating import (
    Curve,
    Domination,
    curve_of,
    curve_of_divergences,
    dominates_alone,
)
from coterie_common.privacy.accounting.renyi import ORDERS, divergences_of
from coterie_common.privacy.event import CountEvent, VectorEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement, Unit
from tests.support.distributions import gaussian_pmf
from tests.support.independent_accountant import profile
from tests.support.noise import noise_terms
from tests.support.present import present

GAUSSIAN, LAPLACE = Mechanism.DISCRETE_GAUSSIAN, Mechanism.DISCRETE_LAPLACE


def noise(shares: int = 3, **size: Any) -> NoiseTerms:
    mechanism = GAUSSIAN if "variance" in size else LAPLACE
    return noise_terms(mechanism=mechanism, placement=Placement.DISTRIBUTED, shares=shares, **size)


def sampled(rate: Fraction, multiplier: int, square: int = 1 << 24) -> VectorEvent:
    return VectorEvent(
        length=1000,
        squared_sensitivity=square,
        noise=noise(variance=Fraction(int(square * multiplier**2) + 4)),
        unit=Unit.RECORD,
        sampling_rate=rate,
    )


def dominated(pair: Domination, epsilons: NDArray[np.float64]) -> NDArray[np.float64]:
    """δ′ + (1 − δ′)·δ_μ(ε), straight from the formula."""
    mu, slack = float(pair.squared_distance) ** 0.5, float(pair.slack)
    gaussian = ndtr(mu / 2 - epsilons / mu) - np.exp(epsilons) * ndtr(-mu / 2 - epsilons / mu)
    covered: NDArray[np.float64] = slack + (1 - slack) * gaussian
    return covered


@pytest.mark.slow  # composes distributions of loss twice, some seconds
@pytest.mark.parametrize(
    ("rate", "multiplier", "rounds"),
    [
        pytest.param(Fraction(128, 10_000), 1.154, 300, id="q 0.0128"),
        pytest.param(Fraction(1, 10), 2.8, 40, id="q 0.1"),
        pytest.param(Fraction(1, 1000), 0.6, 200, id="q 0.001"),
    ],
)
def test_every_pair_of_a_curve_dominates_the_sampled_rounds_at_every_epsilon(rate, multiplier, rounds):
    curve = curve_of([sampled(rate, multiplier)] * rounds)
    epsilons = np.linspace(0, 10, 500)
    true = profile(float(rate), 1 / multiplier, rounds, epsilons)
    # Below, the reference has no digits; its losses are rounded to the nearest.
    seen = true > 1e-9
    assert len(curve.points) > 12
    for pair in curve.points:
        assert (true[seen] <= dominated(present(pair), epsilons[seen]) * 1.001).all()
    # And none is much wider than need be: a hundredth less does not dominate.
    for pair in curve.points[2:12]:
        narrower = Domination(pair.slack, pair.squared_distance * Fraction(97, 100))
        assert (true > dominated(narrower, epsilons)).any()


@pytest.mark.parametrize(
    ("variance", "shares", "l0", "linf"), [(48, 3, 1, 1), (48, 3, 1, 5), (7, 1, 1, 2), (640, 40, 2, 3)]
)
def test_pair_of_counts_dominates_the_summed_discrete_shares(variance, shares, l0, linf):
    one = gaussian_pmf(variance / shares, reach=14).times(shares)
    alone = one.times(l0).probabilities if l0 > 1 else one.probabilities
    # Both values are shifted: their sum decides, and it is that of l0·h shares.
    there, here = np.pad(alone, (0, l0 * linf)), np.pad(alone, (l0 * linf, 0))
    pair = dominates_alone(CountEvent(l0=l0, linf=linf, scale_bits=0, noise=noise(shares, variance=Fraction(variance))))
    epsilons = np.linspace(0, 6, 400)
    true = [np.maximum(here - np.exp(epsilon) * there, 0).sum() for epsilon in epsilons]
    assert (np.array(true) <= dominated(present(pair), epsilons) * (1 + 1e-9) + 1e-14).all()
    assert pair.slack < Fraction(1, 10**9)


def test_pair_of_laplace_noise_is_that_of_its_values_one_by_one_or_all_together():
    event = CountEvent(l0=2, linf=1, scale_bits=0, noise=noise(ratio=Fraction(1, 4)))
    ratio = np.exp(-0.25)
    outcomes = np.arange(-200, 202)
    there = (1 - ratio) / (1 + ratio) * ratio ** np.abs(outcomes)
    here = (1 - ratio) / (1 + ratio) * ratio ** np.abs(outcomes - 1)
    together, base = np.multiply.outer(here, here).ravel(), np.multiply.outer(there, there).ravel()
    epsilons = np.linspace(0, 0.6, 60)
    true = np.array([np.maximum(together - np.exp(epsilon) * base, 0).sum() for epsilon in epsilons])
    pair = dominates_alone(event)
    assert pair.slack == 0
    assert (true <= dominated(present(pair), epsilons) + 1e-15).all()
    assert pair.squared_distance < 1.6 * 2 * 0.25**2


def test_sampled_rounds_and_counts_that_are_too_narrow_have_no_pair_in_closed_form():
    assert dominates_alone(sampled(Fraction(1, 10), 1)) is None
    assert dominates_alone(CountEvent(l0=1, linf=1, scale_bits=0, noise=noise(1, variance=Fraction(2)))) is None


@pytest.mark.slow  # imports dp-accounting
def test_counts_that_are_too_narrow_are_dominated_all_the_same():
    event = CountEvent(l0=1, linf=1, scale_bits=0, noise=noise(1, variance=Fraction(2)))
    true = gaussian_pmf(2.0, reach=16).probabilities
    here, there = np.pad(true, (1, 0)), np.pad(true, (0, 1))
    epsilons = np.linspace(0, 4, 300)
    exact = np.array([np.maximum(here - np.exp(epsilon) * there, 0).sum() for epsilon in epsilons])
    for pair in curve_of([event]).points:
        assert (exact <= dominated(present(pair), epsilons) * (1 + 1e-9) + 1e-14).all()


def test_pairs_of_divergences_are_wider_than_twice_rho():
    # ρ-zCDP is no μ-GDP: with μ² = 2ρ a pair would not dominate all that has such divergences.
    event = CountEvent(l0=8, linf=1, scale_bits=0, noise=noise(variance=Fraction(300)))
    curve = curve_of_divergences(divergences_of([event]))
    exact = dominates_alone(event).squared_distance
    assert all(pair.squared_distance > exact * Fraction(11, 10) for pair in curve.points)


def test_pairs_of_huge_divergences_are_refused():
    with pytest.raises(UnsupportedMechanism, match="no Gaussian pair"):
        curve_of_divergences((1e9,) * len(ORDERS))


POINTS = (Domination(Fraction(1, 1 << 20), Fraction(1, 10)), Domination(Fraction(1, 1 << 30), Fraction(1, 5)))


def test_curve_gives_the_pair_whose_greater_part_of_the_limit_is_less():
    curve = Curve(POINTS)
    assert curve.within(Domination(Fraction(1, 10**5), Fraction(1))) == POINTS[0]
    assert curve.within(Domination(Fraction(1, 1 << 20), Fraction(1))) == POINTS[1]
    assert Curve.from_document(curve.to_document()) == curve


@pytest.mark.parametrize("value", [[], None, [["1/2"]], [["1/2", 3]], [["1/2", "2/4"]], [["1/2", "1/2"]] * 65])
def test_curve_that_cannot_be_read_raises(value):
    with pytest.raises(MalformedMessage):
        Curve.from_document(value)
