# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.privacy.accounting.cost import Charge, Cost, cost, costs, joined, maximum
from coterie_common.privacy.accounting.epsilon import calibrate
from coterie_common.privacy.event import CountEvent, VectorEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from tests.support.independent_accountant import profile
from tests.support.noise import noise_terms

DELTA = Fraction(1, 10**5)
LIMIT = Fraction(2), DELTA


def gaussian_event(
    variance: Fraction = Fraction(300), unit: Unit = Unit.RECORD, l0: int = 8, shares: int = 3
) -> CountEvent:
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=variance, shares=shares
    )
    return CountEvent(l0=l0, linf=1, scale_bits=0, noise=noise, unit=unit)


def laplace_event(ratio: Fraction = Fraction(1, 80)) -> CountEvent:
    noise = noise_terms(mechanism=Mechanism.DISCRETE_LAPLACE, placement=Placement.DISTRIBUTED, ratio=ratio, shares=3)
    return CountEvent(l0=8, linf=1, scale_bits=0, noise=noise)


def unprotected_event() -> CountEvent:
    noise = noise_terms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.NONE, shares=3)
    return CountEvent(l0=8, linf=1, scale_bits=0, noise=noise)


def sampled_event(rate: str, distance: float, square: int = 1 << 24) -> VectorEvent:
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        placement=Placement.DISTRIBUTED,
        variance=Fraction(int(square / distance**2) + 4),
        shares=3,
    )
    return VectorEvent(
        length=1000, squared_sensitivity=square, noise=noise, unit=Unit.RECORD, sampling_rate=Fraction(rate)
    )


@pytest.mark.slow  # two accountants compose thousands of rounds, a second each
@pytest.mark.parametrize(
    ("rate", "rounds", "distance", "taken"),
    [
        pytest.param("0.0128", 270, 0.8932, 0.33, id="small batches"),
        pytest.param("0.0128", 1000, 0.5615, 0.27, id="many small batches"),
        pytest.param("0.1", 40, 0.3666, 0.29, id="tenths"),
        pytest.param("0.001", 1000, 1.672, 0.85, id="tiny batches"),
    ],
)
def test_job_of_which_four_fit_exactly_takes_little_more_than_a_quarter(rate, rounds, distance, taken):
    # Four such jobs are (2, 10^−5)-private together, and no more, by the tests' own accountant.
    together = profile(float(rate), distance, 4 * rounds, np.array([2.0, 1.95]))
    assert together[0] <= 1.01e-5 < together[1]
    job = cost([sampled_event(rate, distance)] * rounds).under(*LIMIT)
    assert 0.25 <= job.used(*LIMIT) <= taken
    # So what the filter lets in of them, one to three, is private enough.
    assert math.floor(1 / job.used(*LIMIT)) in (1, 2, 3)


@pytest.mark.slow  # imports dp-accounting
def test_job_without_sampling_takes_the_share_of_its_squared_distance():
    events = calibrate(
        [(8, 1), (7, 1), (6, 1)],
        epsilon=Fraction(1),
        delta=DELTA,
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        placement=Placement.DISTRIBUTED,
        shares=3,
    )
    job = cost(events).under(*LIMIT)
    assert 0.28 < job.used(*LIMIT) <= 0.30
    assert job.epsilon(DELTA) == pytest.approx(1, rel=3e-3)


@pytest.mark.slow  # the tests' own accountant composes some thousand rounds
def test_jobs_that_the_filter_lets_in_are_private_together():
    kinds = [("0.0128", 0.6, 250), ("0.1", 0.3, 40), ("0.05", 0.35, 100)]
    jobs = {kind: cost([sampled_event(kind[0], kind[1])] * kind[2]).under(*LIMIT) for kind in kinds}
    spent = Charge(unit=Unit.RECORD)
    chosen: list[Any] = []
    for kind in kinds * 4:
        if (spent + jobs[kind]).fits(*LIMIT):
            spent, chosen = spent + jobs[kind], [*chosen, kind]
    assert len(chosen) > 2
    epsilons = np.array([2.0])
    for kind in set(chosen):
        assert profile(float(kind[0]), kind[1], kind[2] * chosen.count(kind), epsilons)[0] <= 1e-5


def test_limits_two_numbers_spend_its_delta_exactly():
    from tests.unit.privacy.test_gaussian_dp import true_delta

    for epsilon_, delta in (
        (Fraction(1), DELTA),
        (Fraction(8), Fraction(1, 10**7)),
        (Fraction(1, 5), Fraction(1, 100)),
    ):
        limit = maximum(epsilon_, delta)
        spent = float(limit.slack) + (1 - float(limit.slack)) * float(
            true_delta(float(limit.squared_distance), float(epsilon_))
        )
        assert float(delta) * (1 - 1e-6) <= spent <= float(delta)


def test_more_of_one_number_is_not_bought_with_less_of_the_other():
    # Who may choose between them after seeing results gains by the choice.
    limit = maximum(*LIMIT)
    over = Fraction(1001, 1000)
    assert Charge(unit=Unit.RECORD, squared_distance=limit.squared_distance, pure_epsilon=None).fits(*LIMIT)
    assert not Charge(unit=Unit.RECORD, squared_distance=limit.squared_distance * over, pure_epsilon=None).fits(*LIMIT)
    assert Charge(unit=Unit.RECORD, slack=limit.slack, pure_epsilon=None).fits(*LIMIT)
    assert not Charge(unit=Unit.RECORD, slack=limit.slack * over, pure_epsilon=None).fits(*LIMIT)


def test_many_tiny_jobs_cost_as_much_as_one():
    tiny, one = cost([gaussian_event(Fraction(300_000))]), cost([gaussian_event(Fraction(300_000))] * 1000)
    total = tiny.under(*LIMIT)
    for _ in range(999):
        total = total + tiny.under(*LIMIT)
    assert total == one.under(*LIMIT)


def test_rounds_that_are_charged_together_count_once_and_wholly():
    lines = costs([sampled_event("0.1", 0.3)] * 5 + [gaussian_event()])
    assert len(set(lines[:5])) == 1
    assert lines[0].together
    assert not lines[5].together
    assert joined(lines[:1]).under(*LIMIT) == joined(lines[:5]).under(*LIMIT)
    assert joined(lines).under(*LIMIT).squared_distance > joined(lines[:5]).under(*LIMIT).squared_distance


def test_pure_releases_by_themselves_are_compared_with_epsilon_itself():
    pure = cost([laplace_event(), laplace_event()])
    assert pure.under(Fraction(1, 5), Fraction(0)).used(Fraction(1, 5), Fraction(0)) == 1
    assert pure.under(Fraction(1, 5), DELTA).fits(Fraction(1, 5), DELTA)
    assert not pure.under(Fraction(199, 1000), Fraction(0)).fits(Fraction(199, 1000), Fraction(0))
    assert pure.under(*LIMIT).epsilon(Fraction(0)) == pytest.approx(0.2)


def test_pure_releases_beside_gaussian_ones_cost_a_squared_distance():
    both = cost([laplace_event(), gaussian_event()]).under(*LIMIT)
    assert both.pure_epsilon is None
    assert both.squared_distance > cost([gaussian_event()]).squared_distance
    assert both.epsilon(Fraction(0)) == math.inf
    assert not both.fits(Fraction(100), Fraction(0))


def test_parts_add_up_to_that_of_all():
    pure, gaussian = cost([laplace_event()]).under(*LIMIT), cost([gaussian_event()]).under(*LIMIT)
    total = pure + gaussian
    parts = [charge.used(*LIMIT, beside=total) for charge in (pure, gaussian)]
    assert sum(parts) == pytest.approx(total.used(*LIMIT), rel=1e-12)


def test_unprotected_release_is_infinite_for_ever():
    total = cost([unprotected_event(), gaussian_event()]).under(*LIMIT) + cost([laplace_event()]).under(*LIMIT)
    assert total.unprotected == 1
    assert total.epsilon(DELTA) == total.used(*LIMIT) == math.inf
    assert cost([gaussian_event()]).under(*LIMIT).used(*LIMIT, beside=total) < 1


def test_no_release_is_free():
    assert cost([gaussian_event(Fraction(10**12))]).under(*LIMIT).epsilon(Fraction(1, 100)) > 0
    assert Charge(unit=Unit.RECORD).epsilon(DELTA) == 0
    assert Cost(unit=Unit.RECORD).is_nothing
    assert not cost([gaussian_event(Fraction(10**12))]).is_nothing


@pytest.mark.parametrize(("epsilon_", "delta"), [(0, DELTA), (-1, DELTA), (1, Fraction(1)), (1, Fraction(-1))])
def test_limit_that_is_none_raises(epsilon_, delta):
    with pytest.raises(UnsupportedMechanism, match="a budget needs"):
        maximum(Fraction(epsilon_), delta)


def test_costs_for_different_units_do_not_add_up():
    record, party = (cost([gaussian_event(unit=unit)]) for unit in Unit)
    with pytest.raises(UnsupportedMechanism, match="do not add up"):
        record | party
    with pytest.raises(UnsupportedMechanism, match="do not add up"):
        record.under(*LIMIT) + party.under(*LIMIT)
    for events in ([], [gaussian_event(), gaussian_event(unit=Unit.PARTY)]):
        with pytest.raises(UnsupportedMechanism, match="at least one, all for one unit"):
            cost(events)


def test_cost_survives_json():
    stated = cost([gaussian_event(Fraction(1001, 7)), laplace_event(Fraction(1, 7)), unprotected_event()])
    assert Cost.from_document(json.loads(json.dumps(stated.to_document()))) == stated


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "person"},
        {"squared_distance": "-1/2"},
        {"squared_distance": 0.5},
        {"slack": "1/0"},
        {"pure_epsilon": "2/4"},
        {"unprotected": -1},
        {"together": [[]]},
        {"together": {}},
        {"more": 1},
    ],
    ids=str,
)
def test_cost_that_cannot_be_read_raises(change):
    with pytest.raises(MalformedMessage):
        Cost.from_document({**cost([gaussian_event()]).to_document(), **change})
