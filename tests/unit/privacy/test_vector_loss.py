# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import itertools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import fft, integrate, special

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.loss import gaussian_epsilon
from coterie_common.privacy.accounting.vector_loss import VectorLoss, share_divergence, vector_losses_of
from coterie_common.privacy.event import VectorEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from tests.support.distributions import gaussian_pmf
from tests.support.noise import noise_terms
from tests.support.present import present

RATE = Fraction(2048, 60000)

MILLION = Fraction(10**6)


def event(variance: Fraction = MILLION, shares: int = 3, **change: Any) -> VectorEvent:
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=variance, shares=shares
    )
    terms: dict[str, Any] = {"length": 1000, "squared_sensitivity": 10**6, "noise": noise, "unit": Unit.RECORD}
    return VectorEvent(**{**terms, **change})


def loss(
    rounds: int, squared_distance: float | Fraction, rate: float | Fraction, unit: Unit = Unit.RECORD
) -> VectorLoss:
    return VectorLoss(rounds, Fraction(squared_distance), Fraction(rate), unit, 0.0)


def gaussian_delta(mu: float, epsilon: float) -> float:
    """δ(ε) of two continuous Gaussians μ standard deviations apart (Balle and Wang, 2018)."""
    first = math.exp(special.log_ndtr(mu / 2 - epsilon / mu))
    return first - math.exp(epsilon + special.log_ndtr(-mu / 2 - epsilon / mu))


@pytest.mark.parametrize(("variance", "smoothing"), [(0.6, 0.3), (2.0, 0.5), (4.0, 1.0), (30.0, 1.0)])
def test_a_rounded_gaussian_is_a_discrete_gaussian_up_to_the_stated_divergence(variance, smoothing):
    # Step 1 of the module's proof, integrated numerically: P(x) = ∫ N(g; 0, σ² − s²) · e^(−(x−g)²/2s²)/Θ(g) dg.
    integers = np.arange(-60, 61)

    def density(g: float, x: float) -> float:
        weights = np.exp(-((integers - g) ** 2) / (2 * smoothing))
        normal = math.exp(-g * g / (2 * (variance - smoothing))) / math.sqrt(2 * math.pi * (variance - smoothing))
        return float(normal * math.exp(-((x - g) ** 2) / (2 * smoothing)) / weights.sum())

    discrete = gaussian_pmf(variance)
    bound = 5 * math.exp(-2 * math.pi**2 * smoothing)
    observed = []
    for x in range(math.ceil(4 * math.sqrt(variance))):
        rounded, _ = integrate.quad(density, x - 30, x + 30, args=(x,), points=[x / 2, x], limit=400, epsabs=1e-15)
        observed.append(abs(math.log(rounded / discrete.at(x))))
    assert max(observed) <= bound + 1e-9  # the quadrature's own error


@pytest.mark.parametrize("rounds", [2, 100, 10_000])
def test_distribution_of_composed_rounds_is_above_the_closed_form(rounds):
    # Without sampling the closed form is known for any number of rounds: μ√n. (Jobs never compose these one by one.)
    item = loss(rounds, Fraction(1, rounds), 1)
    for interval in (2.0**-11, 2.0**-13):
        distribution = item.distribution(interval)
        for epsilon in (0.0, 0.5, 2.0, 4.0, 6.0):
            true = gaussian_delta(1.0, epsilon)
            assert true - item.slack <= float(distribution.get_delta_for_epsilon(epsilon)) <= true * 1.01 + item.slack


@pytest.mark.parametrize(
    ("rounds", "distance", "rate"),
    [(1, 1, RATE), (10, Fraction(1, 9), Fraction(1, 2)), (100, 1, RATE), (10_000, 2, Fraction(1, 1000))],
)
def test_distribution_far_out_holds_less_than_the_slack(rounds, distance, rate):
    # Where the true δ is 10^−100, what is left is what doubles made up: FFTs and differences of grid points.
    item = loss(rounds, distance, rate)
    far = item.distribution(2.0**-11).get_delta_for_epsilon(30.0)
    assert abs(float(far)) < item.slack / 10


@pytest.mark.slow  # thousands of grid points in 40-digit arithmetic
@pytest.mark.parametrize(("rounds", "distance", "rate"), [(100, Fraction(5, 6), RATE), (10_000, 2, Fraction(1, 1000))])
def test_distribution_loses_less_than_the_slack_against_extended_precision(rounds, distance, rate):
    # The same grid, "connecting the dots" of the exact δ(ε), composed by FFTs of extended doubles.
    item, interval, lowest, highest = loss(rounds, distance, rate), 2.0**-9, -1000, 5000
    with mpmath.workdps(40):
        q, mu = mpmath.mpf(rate.numerator) / rate.denominator, mpmath.sqrt(mpmath.mpf(float(distance)))

        def delta(epsilon: Any) -> Any:
            if mpmath.exp(epsilon) <= 1 - q:
                return 1 - mpmath.exp(epsilon)
            x = mpmath.log((mpmath.exp(epsilon) - 1 + q) / q) / mu + mu / 2
            return q * mpmath.ncdf(mu - x) + (1 - q - mpmath.exp(epsilon)) * mpmath.ncdf(-x)

        deltas = [delta(mpmath.mpf(interval) * i) for i in range(lowest, highest + 1)]
        step = mpmath.exp(interval)
        drops = [after - before for before, after in itertools.pairwise(deltas)]
        inner = [(after - step * before) / (step - 1) for before, after in itertools.pairwise(drops)]
        masses = [1 - deltas[0] + drops[0] / (step - 1), *inner, drops[-1] / (1 / step - 1)]
        single = np.array([np.longdouble(mpmath.nstr(mass, 25)) for mass in masses])
    length = 1 << 16
    composed = fft.ifft(fft.fft(single, length) ** rounds).real
    # Indices wrap around; a loss beyond half the length of the FFT has no mass that matters.
    indices = (np.arange(length) + rounds * lowest + length // 2) % length - length // 2
    losses = interval * indices.astype(np.longdouble)
    distribution = item.distribution(interval)
    for epsilon in (0.0, 0.5, 1.0, 2.0):
        exact = (np.where(losses > epsilon, 1 - np.exp(epsilon - losses), 0) * composed).sum()
        exact += rounds * np.longdouble(mpmath.nstr(deltas[-1], 25))
        assert abs(float(distribution.get_delta_for_epsilon(epsilon)) - float(exact)) < item.slack / 10


def test_distribution_of_one_party_has_the_same_loss_as_of_one_record():
    record, party = (loss(1, Fraction(1, 4), 1, unit).distribution(2.0**-10) for unit in Unit)
    assert record.get_epsilon_for_delta(1e-5) == party.get_epsilon_for_delta(1e-5)


def test_rounds_without_batches_are_one_gaussian():
    (one,) = present(vector_losses_of([event(Fraction(4 * 10**6))] * 10 + [event(Fraction(10**6))] * 3))
    assert one.rounds == 1
    expected = 10 * 10**6 / (4 * 10**6 - 3) + 3 * 10**6 / (10**6 - 3)
    assert expected <= one.squared_distance <= expected * (1 + 1e-10)


def test_equal_and_nearly_equal_sampled_rounds_are_one_kind_and_the_worst_counts():
    kinds = [event(Fraction(10**6 + i), sampling_rate=RATE) for i in (0, 300, 900)]
    (one,) = present(vector_losses_of(kinds * 5))
    assert one.rounds == 15
    assert one.rate == RATE
    assert one.squared_distance == pytest.approx(1 + 3e-6, rel=1e-9)
    assert one.divergence == pytest.approx(sum(item.divergence for item in map(only, kinds)) * 5)


def only(item: VectorEvent) -> VectorLoss:
    (one,) = present(vector_losses_of([item]))
    return one


def test_different_sampled_rounds_are_different_kinds():
    kinds = present(
        vector_losses_of(
            [
                event(sampling_rate=RATE),
                event(Fraction(2 * 10**6), sampling_rate=RATE),
                event(sampling_rate=Fraction(1, 2)),
                event(),
                event(sampling_rate=Fraction(1)),
            ]
        )
    )
    assert [(kind.rate, round(float(kind.squared_distance), 3)) for kind in kinds] == [
        (1, 2.0),
        (Fraction(1, 2), 1.0),
        (RATE, 1.0),
        (RATE, 0.5),
    ]


def test_losses_of_no_vectors_are_none_and_of_narrow_noise_unknown():
    assert vector_losses_of([]) == ()
    assert vector_losses_of([event(Fraction(5), shares=1)]) is None
    assert vector_losses_of([event(Fraction(6), shares=1)]) is not None


def test_divergence_pays_for_shares_and_for_smoothing_of_every_value():
    item = event(Fraction(6), shares=3)
    smoothing = 1000 * 5 * math.exp(-6 * math.pi**2)
    assert share_divergence(item) == pytest.approx(
        1000 * 10 * (math.exp(-2 * math.pi**2) + math.exp(-8 / 3 * math.pi**2))
    )
    assert only(item).divergence == pytest.approx(share_divergence(item) + smoothing)
    assert only(event()).divergence == pytest.approx(smoothing)
    assert share_divergence(event(Fraction(2), shares=1)) == 0
    with pytest.raises(UnsupportedMechanism):
        share_divergence(event(Fraction(1, 2), shares=3))


def test_spread_is_that_of_the_loss():
    assert loss(1, 3, 1).squared_spread == 3
    assert float(loss(50, Fraction(1, 4), Fraction(1, 10)).squared_spread) == pytest.approx(
        50 * math.log1p(0.01 * math.expm1(0.25))
    )
    assert math.isfinite(loss(1, 10**6, Fraction(1, 2)).squared_spread)


def test_intervals_keep_the_number_of_grid_points_bounded():
    assert loss(1, 10**-6, 1).least_interval == 0
    for distance in (Fraction(1, 10**6), 1, 100, 10**6):
        item = loss(1, distance, Fraction(1, 10**4))
        assert 0 < item.least_interval < math.inf
    # One round that hardly ever tells anything, and then much: a grid for its spread would have 10^7 points.
    rare = loss(1, 4, Fraction(1, 10**4))
    assert rare.distribution(2.0 ** math.frexp(rare.least_interval)[1]).get_epsilon_for_delta(1e-6) == pytest.approx(
        0.03937, rel=1e-3
    )


def test_gaussian_epsilon_of_a_delta_within_the_slack_raises():
    with pytest.raises(UnsupportedMechanism, match="too small to account for"):
        gaussian_epsilon([loss(10_000, 1, RATE)], 1e-8)
