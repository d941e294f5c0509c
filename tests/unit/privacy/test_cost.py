# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.privacy.cost import ORDERS, Cost, cost
from coterie_common.privacy.event import CountEvent
from coterie_common.privacy.noise import Mechanism, NoiseTerms, Placement, Unit
from tests.support.distributions import gaussian_pmf

DELTA = Fraction(1, 10**5)


def gaussian_event(variance=Fraction(300), unit=Unit.RECORD, l0=8, shares=3):
    noise = NoiseTerms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=variance, shares=shares
    )
    return CountEvent(l0=l0, linf=1, scale_bits=0, noise=noise, unit=unit)


def laplace_event(ratio=Fraction(1, 80)):
    noise = NoiseTerms(mechanism=Mechanism.DISCRETE_LAPLACE, placement=Placement.DISTRIBUTED, ratio=ratio, shares=3)
    return CountEvent(l0=8, linf=1, scale_bits=0, noise=noise)


def unprotected_event():
    noise = NoiseTerms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.NONE, shares=3)
    return CountEvent(l0=8, linf=1, scale_bits=0, noise=noise)


@pytest.mark.parametrize("variance", [Fraction(3, 2), Fraction(6), Fraction(48)], ids=str)
def test_cost_bounds_the_renyi_divergences_of_the_summed_shares(variance):
    noise = gaussian_pmf(float(variance) / 3, reach=18).times(3)
    here, there = noise.probabilities[1:], noise.probabilities[:-1]
    common = (here > 1e-300) & (there > 1e-300)
    here, there = here[common], there[common]
    stated = cost([gaussian_event(variance, l0=1)])
    for order, bound in zip(ORDERS[:16], stated.divergences[:16], strict=True):
        true = float(np.log((here * (here / there) ** (order - 1)).sum()) / (order - 1))
        assert true <= bound * (1 + 1e-9)
        assert bound <= true * 1.001 or variance < 6  # the sum of narrow shares pays for what it is not


def test_cost_of_one_gaussian_release_is_alpha_times_rho():
    stated = cost([gaussian_event()])
    assert stated.divergences == pytest.approx([order * 8 / 600 for order in ORDERS])
    assert stated.pure_epsilon == 0
    assert stated.unprotected == 0


def test_cost_epsilon_is_that_of_concentrated_differential_privacy_or_better():
    rho = 8 / 600
    epsilon = cost([gaussian_event()]).epsilon(DELTA)
    assert rho < epsilon < rho + 2 * math.sqrt(rho * math.log(1e5))


def test_costs_add_up_release_by_release():
    one, other = gaussian_event(), gaussian_event(Fraction(500))
    total = cost([one]) + cost([other]) + cost([laplace_event()])
    together = cost([one, other, laplace_event()])
    assert total.divergences == pytest.approx(together.divergences)
    assert all(added >= joint for added, joint in zip(total.divergences, together.divergences, strict=True))
    assert total.pure_epsilon == pytest.approx(0.1)
    assert total.epsilon(DELTA) > cost([one, other]).epsilon(DELTA) + 0.0999


def test_nothing_costs_nothing_and_adds_nothing():
    nothing = Cost(unit=Unit.RECORD)
    assert nothing.epsilon(DELTA) == 0
    assert nothing + cost([gaussian_event(), laplace_event()]) == cost([gaussian_event(), laplace_event()])


def test_pure_cost_holds_at_any_delta():
    pure = cost([laplace_event(), laplace_event()])
    assert pure.epsilon(Fraction(0)) == pytest.approx(0.2)
    assert pure.epsilon(Fraction(0)) >= Fraction(1, 5)
    assert pure.epsilon(DELTA) == pure.epsilon(Fraction(0))


def test_gaussian_cost_at_delta_zero_raises_and_does_not_fit():
    with pytest.raises(UnsupportedMechanism, match="delta = 0"):
        cost([gaussian_event()]).epsilon(Fraction(0))
    assert not cost([gaussian_event()]).fits(Fraction(100), Fraction(0))


def test_unprotected_release_costs_infinity_for_ever():
    total = cost([unprotected_event(), gaussian_event()]) + cost([laplace_event()])
    assert total.unprotected == 1
    assert total.epsilon(DELTA) == math.inf
    assert not total.fits(Fraction(10**6), DELTA)


def test_epsilon_of_a_tiny_cost_is_not_zero():
    assert cost([gaussian_event(Fraction(10**12))]).epsilon(Fraction(1, 100)) > 0


@pytest.mark.parametrize("budget", [Fraction(1, 2), Fraction(1), Fraction(5), Fraction(20)], ids=str)
def test_fits_until_epsilon_reaches_the_budget(budget):
    one = cost([gaussian_event(Fraction(30_000))])
    total, releases = one, 1
    while total.fits(budget, DELTA) and releases < 50_000:
        total, releases = total + total, 2 * releases
    # Half of the total fitted, the total does not, and the reported ε agrees.
    assert total.epsilon(DELTA) > budget
    scaled = Cost(unit=one.unit, divergences=tuple(d * releases / 2 for d in one.divergences))
    assert scaled.fits(budget, DELTA)
    assert scaled.epsilon(DELTA) <= budget


def test_fits_compares_a_pure_ledger_with_epsilon_itself():
    pure = cost([laplace_event(Fraction(1, 64))])
    assert pure.pure_epsilon == 0.125
    assert pure.fits(Fraction(1, 8), Fraction(0))
    assert not pure.fits(Fraction(124, 1000), DELTA)


def test_fits_counts_pure_and_gaussian_releases_together():
    both = cost([gaussian_event(), laplace_event()])
    limit = Fraction(both.epsilon(DELTA))
    assert both.fits(limit * Fraction(11, 10), DELTA)
    assert not both.fits(limit * Fraction(9, 10), DELTA)


def test_used_is_at_most_one_exactly_where_the_budget_fits_and_parts_add_up():
    one, whole = cost([gaussian_event()]), cost([gaussian_event(), laplace_event()])
    budget = Fraction(3)
    part, pure = one.used(budget, DELTA), cost([laplace_event()]).used(budget, DELTA, beside=whole)
    assert whole.used(budget, DELTA) == pytest.approx(part + pure)
    assert 0 < part < 1
    total, releases = one, 1
    while total.fits(budget, DELTA):
        assert total.used(budget, DELTA) == pytest.approx(releases * part)
        total, releases = total + one, releases + 1
    assert releases > 2
    assert total.used(budget, DELTA) > 1


def test_used_by_pure_releases_alone_is_measured_in_epsilon():
    pure = cost([laplace_event(Fraction(1, 64))])
    assert pure.used(Fraction(1, 2), Fraction(0)) == 0.25
    assert pure.used(Fraction(1, 8), DELTA) == 1
    assert pure.used(Fraction(1, 8) - Fraction(1, 10**30), DELTA) > 1


def test_used_of_what_no_budget_allows_is_infinite():
    assert unprotected_cost().used(Fraction(1000), DELTA) == math.inf
    assert cost([gaussian_event()]).used(Fraction(1000), Fraction(0)) == math.inf


def unprotected_cost():
    return cost([unprotected_event()])


@pytest.mark.parametrize(("epsilon", "delta"), [(0, DELTA), (-1, DELTA), (1, Fraction(-1)), (1, Fraction(1))])
def test_budget_that_is_none_raises(epsilon, delta):
    with pytest.raises(UnsupportedMechanism):
        Cost(unit=Unit.RECORD).fits(Fraction(epsilon), delta)


@pytest.mark.parametrize("delta", [Fraction(-1, 10), Fraction(1), Fraction(2)])
def test_epsilon_at_an_impossible_delta_raises(delta):
    with pytest.raises(UnsupportedMechanism):
        cost([gaussian_event()]).epsilon(delta)


def test_costs_for_different_units_do_not_add_up():
    with pytest.raises(UnsupportedMechanism, match="do not add up"):
        cost([gaussian_event()]) + cost([gaussian_event(unit=Unit.PARTY)])
    with pytest.raises(UnsupportedMechanism, match="one unit"):
        cost([gaussian_event(), gaussian_event(unit=Unit.PARTY)])
    with pytest.raises(UnsupportedMechanism, match="at least one"):
        cost([])


def test_cost_from_its_document_is_equal_to_the_last_bit():
    stated = cost([gaussian_event(Fraction(1001, 7)), laplace_event(Fraction(1, 7)), unprotected_event()])
    assert Cost.from_document(json.loads(json.dumps(stated.to_document()))) == stated


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "person"},
        {"unit": 1},
        {"orders": [2, 3]},
        {"divergences": "none"},
        {"divergences": [True] * len(ORDERS)},
        {"pure_epsilon": "0"},
        {"unprotected": -1},
        {"unprotected": 1.0},
        {"more": 0},
    ],
)
def test_malformed_document_raises(change):
    with pytest.raises(MalformedMessage) as raised:
        Cost.from_document({**cost([gaussian_event()]).to_document(), **change})
    assert raised.value.code == "malformed-message"


@pytest.mark.parametrize(
    "change",
    [
        {"divergences": [0.0]},
        {"divergences": [-1.0] * len(ORDERS)},
        {"divergences": [math.inf] * len(ORDERS)},
        {"pure_epsilon": math.nan},
        {"pure_epsilon": -0.5},
    ],
)
def test_document_with_impossible_numbers_raises_unsupported(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        Cost.from_document({**cost([gaussian_event()]).to_document(), **change})
    assert raised.value.code == "unsupported-mechanism"
