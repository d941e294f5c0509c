# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.epsilon import CountEvent, calibrate, epsilon_of
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from tests.support.noise import noise_terms, variance_of
from tests.support.present import present

GAUSSIAN, LAPLACE = Mechanism.DISCRETE_GAUSSIAN, Mechanism.DISCRETE_LAPLACE
DELTA = Fraction(1, 10**5)
ID3 = [(8, 1), (7, 1), (6, 1)]


def calibrated(
    queries: list[tuple[int, int]] = ID3,
    epsilon: Fraction = Fraction(1),
    delta: Fraction = DELTA,
    mechanism: Mechanism = GAUSSIAN,
    **change: Any,
) -> tuple[CountEvent, ...]:
    terms = {"placement": Placement.DISTRIBUTED, "shares": 3, **change}
    return calibrate(queries, epsilon=epsilon, delta=delta, mechanism=mechanism, **terms)


def with_noise(event: CountEvent, **change: Any) -> CountEvent:
    return replace(event, noise=replace(event.noise, **change))


@pytest.mark.parametrize(
    ("queries", "epsilon", "delta", "shares"),
    [
        (ID3, Fraction(1), DELTA, 3),
        (ID3, Fraction(1), DELTA, 2),
        (ID3, Fraction(1), DELTA, 133),
        (ID3, Fraction(1, 10), DELTA, 3),
        (ID3, Fraction(1, 100), Fraction(1, 10**9), 3),
        (ID3, Fraction(20), Fraction(1, 10**6), 7),
        ([(1, 1)], Fraction(1), DELTA, 3),
        ([(1, 1)], Fraction(1), Fraction(1, 10), 3),
        ([(3, 7)], Fraction(1, 100), Fraction(1, 10), 3),  # steep: found by bisection
        ([(1, 255), (30, 2), (4, 100)], Fraction(3), DELTA, 3),
        ([(8, 1)] * 200, Fraction(1), DELTA, 3),
        ([(10_000, 1)], Fraction(1, 2), DELTA, 40),
    ],
)
def test_calibrate_reaches_epsilon_within_a_percent(queries, epsilon, delta, shares):
    events = calibrated(queries, epsilon, delta, shares=shares)
    assert [(event.l0, event.linf) for event in events] == queries
    assert epsilon * Fraction(99, 100) <= epsilon_of(events, delta) <= epsilon
    for event in events:
        assert event.noise.shares == shares
        assert event.noise.share_variance >= 16
        assert event.scale_bits == 0 or event.noise.share_variance < 4 * 16  # no more scale than needed
        assert len(str(variance_of(event.noise).limit_denominator(10**6))) <= 13  # short
        assert variance_of(event.noise).denominator <= 10**5


def test_calibrate_gives_every_round_the_same_noise_multiplier():
    multipliers = [variance_of(event.noise) / (event.l0 * event.shift**2) for event in calibrated()]
    assert max(multipliers) / min(multipliers) < 1.0003


@pytest.mark.parametrize("mechanism", [GAUSSIAN, LAPLACE])
def test_calibrate_with_factors_gives_rounds_that_much_more_noise_at_the_same_cost(mechanism):
    factors = [Fraction(2), Fraction(1), Fraction(1, 2)]
    delta = DELTA if mechanism is GAUSSIAN else Fraction(0)
    events = calibrated([(4, 1)] * 3, mechanism=mechanism, delta=delta, factors=factors, placement=Placement.LOCAL)
    stddevs = [math.sqrt(event.noise.share_variance) / 2**event.scale_bits for event in events]
    # parameters are rounded in the fifth digit; of Laplace noise 1/ratio only approximates the deviation
    assert stddevs[0] / stddevs[1] == pytest.approx(2, rel=0.01)
    assert stddevs[1] / stddevs[2] == pytest.approx(2, rel=0.01)
    assert 0.99 < epsilon_of(events, delta) <= 1


def test_calibrate_for_id3_at_epsilon_one_needs_the_noise_on_record():
    deviations = [math.sqrt(variance_of(event.noise)) / 2**event.scale_bits for event in calibrated()]
    assert deviations == pytest.approx([18.3, 17.1, 15.85], abs=0.05)


def test_calibrate_does_not_depend_on_the_number_of_shares_but_for_the_scale():
    few, many = calibrated(shares=2), calibrated(shares=133)
    for left, right in zip(few, many, strict=True):
        assert float(variance_of(left.noise) / 4**left.scale_bits) == pytest.approx(
            float(variance_of(right.noise) / 4**right.scale_bits), rel=1e-3
        )
    assert few[0].scale_bits == 0
    assert many[0].scale_bits == 2


def test_calibrate_with_wider_shares_scales_further():
    events = calibrated(min_share_stddev=64)
    assert all(64**2 <= event.noise.share_variance < 4 * 64**2 for event in events)
    assert epsilon_of(events, DELTA) <= 1


def test_calibrate_laplace_adds_up_to_a_pure_epsilon():
    events = calibrated(epsilon=Fraction(1, 10), delta=Fraction(0), mechanism=LAPLACE)
    assert 0.0999 < epsilon_of(events, Fraction(0)) <= Fraction(1, 10)
    assert epsilon_of(events, DELTA) == epsilon_of(events, Fraction(0))
    costs = [event.pure_epsilon for event in events]
    assert float(max(costs) / min(costs)) == pytest.approx(1, abs=1e-3)
    narrow = calibrated([(1, 1)], Fraction(8), Fraction(0), LAPLACE, shares=20)
    assert narrow[0].noise.share_variance >= 16
    assert narrow[0].scale_bits > 0
    assert 7.99 < epsilon_of(narrow, Fraction(0)) <= 8


@pytest.mark.parametrize("mechanism", Mechanism)
def test_calibrate_local_gives_every_party_the_whole_noise(mechanism):
    delta = DELTA if mechanism is GAUSSIAN else Fraction(0)
    local = calibrated(delta=delta, mechanism=mechanism, placement=Placement.LOCAL)
    distributed = calibrated(delta=delta, mechanism=mechanism)
    for one, all_together in zip(local, distributed, strict=True):
        assert one.noise.share_variance == pytest.approx(3 * all_together.noise.share_variance, rel=1e-3)
    assert epsilon_of(local, delta) == pytest.approx(epsilon_of(distributed, delta), rel=1e-3)


def test_calibrate_without_noise_is_possible_and_reported_as_infinite():
    events = calibrated(placement=Placement.NONE)
    assert all(event.noise.share_variance == 0 and event.scale_bits == 0 for event in events)
    assert epsilon_of(events, DELTA) == math.inf


def test_calibrate_carries_the_unit_of_privacy():
    assert {event.unit for event in calibrated()} == {Unit.RECORD}
    assert {event.unit for event in calibrated(unit=Unit.PARTY)} == {Unit.PARTY}


@pytest.mark.parametrize(
    "change",
    [
        {"queries": []},
        {"queries": [(0, 1)]},
        {"queries": [(1, 0)]},
        {"epsilon": Fraction(0)},
        {"epsilon": Fraction(-1)},
        {"epsilon": Fraction(1001)},
        {"delta": Fraction(0)},
        {"delta": Fraction(1)},
        {"delta": Fraction(1, 10**14)},
        {"shares": 0},
        {"shares": 201},
        {"min_share_stddev": 1 << 45},
        {"mechanism": LAPLACE, "epsilon": Fraction(1, 10**6)},
    ],
    ids=str,
)
def test_calibrate_of_the_impossible_raises(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        calibrated(**change)
    assert raised.value.code == "unsupported-mechanism"


def test_epsilon_of_no_release_is_zero():
    assert epsilon_of([], DELTA) == 0


def test_epsilon_of_falls_with_the_noise_and_rises_with_the_rounds():
    events = calibrated()
    epsilon = epsilon_of(events, DELTA)
    assert epsilon_of(events[:2], DELTA) < epsilon
    assert epsilon_of([with_noise(event, variance=variance_of(event.noise) * 2) for event in events], DELTA) < epsilon
    assert epsilon_of([replace(event, l0=event.l0 + 1) for event in events], DELTA) > epsilon
    assert epsilon_of([replace(event, linf=2) for event in events], DELTA) > 1.9 * epsilon
    assert epsilon_of(events, Fraction(1, 10**6)) > epsilon


def test_epsilon_of_scaled_counts_is_that_of_the_counts():
    events = calibrated()
    scaled = [
        with_noise(replace(event, scale_bits=event.scale_bits + 4), variance=variance_of(event.noise) * 256)
        for event in events
    ]
    assert epsilon_of(scaled, DELTA) == pytest.approx(epsilon_of(events, DELTA), rel=1e-3)


def test_epsilon_of_gaussian_and_laplace_rounds_adds_up():
    gaussian, laplace = calibrated(), calibrated(delta=Fraction(0), mechanism=LAPLACE)
    expected = epsilon_of(gaussian, DELTA) + epsilon_of(laplace, Fraction(0))
    assert expected <= epsilon_of([*gaussian, *laplace], DELTA) <= expected * (1 + 1e-12)


def test_epsilon_of_a_job_with_one_unprotected_round_is_infinite():
    assert epsilon_of([*calibrated(), *calibrated(placement=Placement.NONE)[:1]], DELTA) == math.inf


@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 10**13)], ids=str)
def test_epsilon_of_gaussian_noise_at_an_impossible_delta_raises(delta):
    with pytest.raises(UnsupportedMechanism) as raised:
        epsilon_of(calibrated(), delta)
    assert raised.value.code == "unsupported-mechanism"


def test_epsilon_of_different_units_raises():
    with pytest.raises(UnsupportedMechanism, match="different units"):
        epsilon_of([*calibrated(), *calibrated(unit=Unit.PARTY)], DELTA)


def test_epsilon_of_shares_without_a_proven_sum_raises():
    noise = noise_terms(mechanism=GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(1, 2), shares=3)
    with pytest.raises(UnsupportedMechanism):
        epsilon_of([CountEvent(l0=1, linf=1, scale_bits=0, noise=noise)], DELTA)


def test_accounting_does_not_import_heavy_libraries_before_they_are_used():
    code = (
        "import sys; from coterie_common.privacy import accounting; "
        "print([name for name in ('dp_accounting', 'scipy') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def exact_epsilon(shift: int, variance: float, delta: float) -> float:
    """Least ε at which an integer with discrete Gaussian noise is (ε, δ)-private, summed up over the integers."""
    reach = math.ceil(12 * math.sqrt(variance))
    masses = [math.exp(-(x**2) / (2 * variance)) for x in range(-reach, reach + 1)]
    losses = [(shift**2 - 2 * shift * x) / (2 * variance) for x in range(-reach, reach + 1)]
    low, high = 0.0, 10_000.0
    for _ in range(100):
        middle = (low + high) / 2
        above = (mass * -math.expm1(middle - loss) for mass, loss in zip(masses, losses, strict=True) if loss > middle)
        low, high = (middle, high) if sum(above) / sum(masses) > delta else (low, middle)
    return high


@pytest.mark.parametrize(("epsilon", "delta"), [(620, DELTA), (709, Fraction(1, 10**7)), (740, DELTA), (990, DELTA)])
def test_epsilon_beyond_the_range_of_doubles_is_that_of_the_exact_curve(epsilon, delta):
    events = calibrated([(1, 1)] * 2, Fraction(epsilon), delta, shares=2)
    reached = epsilon_of(events, delta)
    assert epsilon * 0.99 <= reached <= epsilon
    # Two equal values have the loss of one, shifted by twice as much, with noise of twice the variance.
    (event,) = set(events)
    exact = exact_epsilon(2 * event.shift, float(2 * present(event.gaussian_variance)), float(delta))
    assert exact <= reached <= exact * 1.003


@pytest.mark.parametrize(
    ("l0", "linf", "epsilon"), [(3, 4096, Fraction(1, 10)), (40, 255, Fraction(1, 10)), (7, 9, DELTA)]
)
def test_laplace_noise_that_is_too_wide_is_refused_with_what_would_do(l0, linf, epsilon):
    with pytest.raises(UnsupportedMechanism, match="or take discrete-gaussian") as caught:
        calibrated([(l0, linf)], epsilon, Fraction(0), LAPLACE)
    steps = caught.value.message.partition("steps = ")[2].partition(" or fewer")[0]
    assert bool(steps) is (epsilon > DELTA)
    if steps:
        assert int(steps) < linf
        (event,) = calibrated([(l0, int(steps))], epsilon, Fraction(0), LAPLACE)
        assert 0.99 * epsilon < epsilon_of([event], Fraction(0)) <= epsilon
        with pytest.raises(UnsupportedMechanism):
            calibrated([(l0, int(steps) + 2)], epsilon, Fraction(0), LAPLACE)
