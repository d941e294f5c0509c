# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Rounds of vectors as events, in a job's ε and in a ledger, alone and beside counts."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.cost import cost
from coterie_common.privacy.accounting.epsilon import calibrate, epsilon_of
from coterie_common.privacy.accounting.renyi import ORDERS, divergences_of, renyi_bound
from coterie_common.privacy.event import MAX_LENGTH, MAX_SQUARED_NORM, CountEvent, VectorEvent, protected_vectors
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from tests.support.distributions import gaussian_pmf
from tests.support.noise import noise_terms

DELTA = Fraction(1, 10**5)
GAUSSIAN = Mechanism.DISCRETE_GAUSSIAN


def event(
    variance: Fraction = Fraction(10**6), placement: Placement = Placement.DISTRIBUTED, shares: int = 3, **change: Any
) -> VectorEvent:
    noise = noise_terms(
        mechanism=GAUSSIAN,
        placement=placement,
        variance=None if placement is Placement.NONE else variance,
        shares=shares,
    )
    terms = {"length": 1000, "squared_sensitivity": 10**6, "noise": noise, "unit": Unit.RECORD}
    return VectorEvent(**{**terms, **change})


SAMPLED = event(sampling_rate=Fraction(1, 30))


def true_epsilon(upper: NDArray[np.float64], lower: NDArray[np.float64], delta: float) -> float:
    """The least ε with Σ max(0, P − e^ε·Q) ≤ δ in both directions."""
    low, high = 0.0, 60.0
    for _ in range(50):
        middle = (low + high) / 2
        reached = max(
            np.maximum(0, upper - math.exp(middle) * lower).sum(), np.maximum(0, lower - math.exp(middle) * upper).sum()
        )
        low, high = (middle, high) if reached > delta else (low, middle)
    return high


def shifted(noise: NDArray[np.float64], shift: int) -> NDArray[np.float64]:
    return np.concatenate((np.zeros(shift), noise))


def padded(noise: NDArray[np.float64], shift: int) -> NDArray[np.float64]:
    return np.concatenate((noise, np.zeros(shift)))


@pytest.mark.parametrize("rate", [Fraction(1, 20), Fraction(1, 2), Fraction(1)], ids=str)
@pytest.mark.parametrize("delta", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize(("variance", "shift", "shares"), [(400, 20, 3), (100, 12, 2), (900, 7, 1)])
def test_epsilon_of_one_sampled_round_is_above_brute_force_and_tight(variance, shift, shares, rate, delta):
    noise = gaussian_pmf(variance / shares, reach=11).times(shares).probabilities
    there, here = padded(noise, shift), shifted(noise, shift)
    mixture = (1 - float(rate)) * there + float(rate) * here
    item = event(Fraction(variance), shares=shares, length=1, squared_sensitivity=shift**2, sampling_rate=rate)
    true = true_epsilon(mixture, there, delta)
    # What the Gaussian that is rounded lacks, 3/σ² of the variance, changes ε by up to five times as much.
    assert true <= epsilon_of([item], Fraction(delta)) <= true * (1 + 5 / variance) + 2e-3


def test_epsilon_of_two_sampled_rounds_is_above_brute_force_and_tight():
    variance, shift, rate, delta = 100, 12, Fraction(1, 5), 1e-5
    noise = gaussian_pmf(variance / 2, reach=9).times(2).probabilities
    there, here = padded(noise, shift), shifted(noise, shift)
    mixture = (1 - float(rate)) * there + float(rate) * here
    true = true_epsilon(np.outer(mixture, mixture).ravel(), np.outer(there, there).ravel(), delta)
    item = event(Fraction(variance), shares=2, length=1, squared_sensitivity=shift**2, sampling_rate=rate)
    assert true <= epsilon_of([item] * 2, Fraction(delta)) <= true * (1 + 5 / variance) + 2e-3


@pytest.mark.parametrize("change", [(12, 0), (11, 4), (9, 7), (3, 2)])
def test_epsilon_of_a_norm_covers_every_direction(change):
    # Two dimensions, ‖w‖² ≤ 144 in several directions: discrete Gaussians are not round, the bound is.
    variance, delta = 64, 1e-4
    noise = gaussian_pmf(variance / 2, reach=9).times(2).probabilities
    upper = np.outer(*(shifted(noise, shift) for shift in change)).ravel()
    lower = np.outer(*(padded(noise, shift) for shift in change)).ravel()
    item = event(Fraction(variance), shares=2, length=2, squared_sensitivity=144)
    assert true_epsilon(upper, lower, delta) <= epsilon_of([item], Fraction(delta))


@pytest.mark.parametrize("rounding_offset", [0.0, 0.3, 0.5])
def test_epsilon_of_a_sum_rounded_once_covers_its_rounding(rounding_offset):
    # One dimension: a + offset and a + offset + c rounded stochastically, then noise; S = (c + 1)².
    norm, variance, delta = 3.5, 25, 1e-4
    noise = gaussian_pmf(variance / 2, reach=9).times(2).probabilities
    size = 6

    def release(y: float) -> NDArray[np.float64]:
        low, up = math.floor(y), y - math.floor(y)
        below, above = (np.concatenate((np.zeros(k), noise, np.zeros(size - k))) for k in (low, low + 1))
        return (1 - up) * below + up * above

    true = true_epsilon(release(rounding_offset + norm), release(rounding_offset), delta)
    item = event(Fraction(variance), shares=2, length=1, squared_sensitivity=math.floor((norm + 1) ** 2))
    assert true <= epsilon_of([item], Fraction(delta))


@pytest.mark.parametrize("unit", Unit)
def test_epsilon_of_rounds_without_batches_is_that_of_one_gaussian(unit):
    from dp_accounting import gaussian_mechanism

    # Twenty rounds, two kinds: μ² = 10·(1/4 + 1/9).
    kinds = [event(Fraction(4 * 10**6), unit=unit), event(Fraction(9 * 10**6), unit=unit)]
    expected = gaussian_mechanism.get_epsilon_gaussian(1 / math.sqrt(10 * (1 / 4 + 1 / 9)), 1e-5)
    assert expected <= epsilon_of(kinds * 10, DELTA) <= expected * 1.0001


@pytest.mark.parametrize(("rate", "rounds"), [(Fraction(2048, 60000), 100), (Fraction(1, 1000), 10_000)])
def test_epsilon_of_sampled_rounds_agrees_with_the_library(rate, rounds):
    from dp_accounting.pld import privacy_loss_distribution

    item = event(Fraction(2 * 10**6), sampling_rate=rate)
    single = privacy_loss_distribution.from_gaussian_mechanism(
        math.sqrt(2), sampling_prob=float(rate), value_discretization_interval=5e-5
    )
    expected = single.self_compose(rounds).get_epsilon_for_delta(1e-5)
    assert expected * 0.9999 <= epsilon_of([item] * rounds, DELTA) <= expected * 1.001


def test_epsilon_of_a_delta_too_small_for_the_loss_is_that_of_divergences():
    delta = Fraction(1, 10**11)
    assert epsilon_of([SAMPLED] * 100, delta) == renyi_bound([SAMPLED] * 100, delta)
    assert epsilon_of([SAMPLED] * 100, DELTA) < renyi_bound([SAMPLED] * 100, DELTA)


def test_epsilon_of_noise_too_narrow_for_the_loss_is_that_of_divergences():
    narrow = event(Fraction(5), shares=1, length=1, squared_sensitivity=4)
    assert epsilon_of([narrow], DELTA) == renyi_bound([narrow], DELTA)


def test_epsilon_of_narrow_shares_pays_for_their_sum():
    wide, narrow = event(Fraction(100), shares=3), event(Fraction(100), shares=70)
    wide, narrow = (replace(item, squared_sensitivity=25, length=10**6) for item in (wide, narrow))
    assert epsilon_of([narrow], DELTA) > epsilon_of([wide], DELTA) * 1.000001
    with pytest.raises(UnsupportedMechanism, match="no known distribution"):
        epsilon_of([event(Fraction(100), shares=200, length=10)] * 2 + [event(Fraction(40), shares=200)], DELTA)


def test_epsilon_of_vectors_and_counts_is_less_than_the_sum_and_more_than_either():
    counts = calibrate(
        [(8, 1), (3, 2)],
        epsilon=Fraction(1),
        delta=DELTA,
        mechanism=GAUSSIAN,
        placement=Placement.DISTRIBUTED,
        shares=3,
    )
    vectors = [event(Fraction(2 * 10**6), sampling_rate=Fraction(1, 30))] * 100 + [event(Fraction(64 * 10**6))] * 2
    alone, others = epsilon_of(vectors, DELTA), epsilon_of(counts, DELTA)
    together = epsilon_of([*counts, *vectors], DELTA)
    assert max(alone, others) < together < alone + others
    assert together < renyi_bound([*counts, *vectors], DELTA)


def test_epsilon_of_vectors_and_pure_counts_adds_up():
    pure = calibrate(
        [(1, 1)],
        epsilon=Fraction(1, 2),
        delta=Fraction(0),
        mechanism=Mechanism.DISCRETE_LAPLACE,
        placement=Placement.DISTRIBUTED,
        shares=3,
    )
    assert epsilon_of([SAMPLED, *pure], DELTA) == pytest.approx(
        epsilon_of([SAMPLED], DELTA) + float(pure[0].pure_epsilon)
    )


def test_epsilon_of_vectors_falls_with_noise_and_rises_with_everything_else():
    half = event(sampling_rate=Fraction(1, 2))
    base = epsilon_of([half] * 10, DELTA)
    assert epsilon_of([half] * 11, DELTA) > base
    assert epsilon_of([event(Fraction(2 * 10**6), sampling_rate=Fraction(1, 2))] * 10, DELTA) < base
    assert epsilon_of([event(sampling_rate=Fraction(3, 5))] * 10, DELTA) > base
    assert epsilon_of([replace(half, squared_sensitivity=2 * 10**6)] * 10, DELTA) > base
    assert epsilon_of([event()] * 10, DELTA) > 1.5 * base
    assert epsilon_of([event(sampling_rate=Fraction(1))] * 10, DELTA) == epsilon_of([event()] * 10, DELTA)


def test_epsilon_of_vectors_that_hardly_tell_anything_is_not_zero():
    for item in (event(Fraction(1 << 58)), event(Fraction(1 << 58), sampling_rate=Fraction(1, 10**9))):
        assert 0 < epsilon_of([item], Fraction(1, 100)) < 1e-4


def test_epsilon_of_vectors_without_noise_is_infinite():
    assert epsilon_of([SAMPLED, event(placement=Placement.NONE)], DELTA) == math.inf


@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1), Fraction(-1)], ids=str)
def test_epsilon_of_vectors_at_an_impossible_delta_raises(delta):
    with pytest.raises(UnsupportedMechanism) as raised:
        epsilon_of([SAMPLED], delta)
    assert raised.value.code == "unsupported-mechanism"


def test_epsilon_of_vectors_for_different_units_raises():
    with pytest.raises(UnsupportedMechanism, match="different units"):
        epsilon_of([SAMPLED, event(unit=Unit.PARTY)], DELTA)


@pytest.mark.parametrize("rate", [None, Fraction(1, 7)], ids=str)
def test_cost_of_vectors_bounds_the_true_divergences_in_both_directions(rate):
    variance, shift = Fraction(12), 4
    noise = gaussian_pmf(4.0, reach=26).times(3).probabilities
    there, here = padded(noise, shift), shifted(noise, shift)
    q = 1.0 if rate is None else float(rate)
    mixture = (1 - q) * there + q * here
    common = (there > 1e-280) & (mixture > 1e-280) & (here > 1e-280)
    there, mixture = np.log(there[common]), np.log(mixture[common])
    item = event(variance, length=1, squared_sensitivity=shift**2, sampling_rate=rate)
    stated = divergences_of([item])
    for order, bound in zip(ORDERS[:8], stated, strict=False):
        forward = special.logsumexp(order * mixture + (1 - order) * there) / (order - 1)
        backward = special.logsumexp(order * there + (1 - order) * mixture) / (order - 1)
        assert max(forward, backward) <= bound <= forward * 1.0001 + 1e-9


def test_divergences_of_a_round_that_samples_less_are_less():
    whole, half, little = (
        divergences_of([event(sampling_rate=rate)]) for rate in (None, Fraction(1, 2), Fraction(1, 100))
    )
    assert all(a > b > c > 0 for a, b, c in zip(whole, half, little, strict=True))
    assert divergences_of([event(sampling_rate=Fraction(1))]) == whole


def test_divergences_of_vectors_and_counts_are_their_sum():
    noise = noise_terms(mechanism=GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(300), shares=3)
    counts = CountEvent(l0=8, linf=1, scale_bits=0, noise=noise)
    added = [a + b for a, b in zip(divergences_of([SAMPLED]), divergences_of([counts]), strict=True)]
    assert divergences_of([SAMPLED, counts]) == pytest.approx(added)


def test_cost_of_vectors_without_noise_is_counted():
    bare = cost([event(placement=Placement.NONE), event()])
    assert bare.unprotected == 1
    assert bare.under(Fraction(1), DELTA).epsilon(DELTA) == math.inf


def test_cost_of_one_party_is_for_parties_only():
    with pytest.raises(UnsupportedMechanism, match="do not add up"):
        cost([event(unit=Unit.PARTY)]) | cost([event()])


def test_protected_vectors_counts_equal_events_that_are_different_objects():
    twin = replace(SAMPLED)
    assert twin is not SAMPLED
    events = [SAMPLED, twin, event(), SAMPLED, event(placement=Placement.NONE)]
    assert protected_vectors(events) == {SAMPLED: 3, event(): 1}


def test_event_of_vectors_counts_the_guaranteed_shares_only():
    assert event().guaranteed_shares == 3
    assert event(placement=Placement.LOCAL).guaranteed_shares == 1
    assert event().gaussian_variance == 10**6
    assert event().pure_epsilon == 0
    assert not event(placement=Placement.NONE).is_protected
    assert (event().rate, SAMPLED.rate) == (1, Fraction(1, 30))


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"length": MAX_LENGTH + 1},
        {"squared_sensitivity": 0},
        {"squared_sensitivity": MAX_SQUARED_NORM + 1},
        {"sampling_rate": Fraction(0)},
        {"sampling_rate": Fraction(-1, 2)},
        {"sampling_rate": Fraction(3, 2)},
        {"sampling_rate": Fraction(1, 2), "unit": Unit.PARTY},
        {"sampling_rate": Fraction(1), "unit": Unit.PARTY},
    ],
    ids=str,
)
def test_event_of_vectors_that_cannot_be_raises(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        event(**change)
    assert raised.value.code == "unsupported-mechanism"


@pytest.mark.parametrize("placement", Placement)
def test_event_of_vectors_with_laplace_noise_raises(placement):
    ratio = None if placement is Placement.NONE else Fraction(1, 10)
    noise = noise_terms(mechanism=Mechanism.DISCRETE_LAPLACE, placement=placement, ratio=ratio, shares=3)
    with pytest.raises(UnsupportedMechanism, match="its norm"):
        event(noise=noise)


def test_epsilon_of_vectors_does_not_depend_on_their_order():
    events = [event(sampling_rate=Fraction(1, 2)), event(Fraction(3 * 10**6)), event(sampling_rate=Fraction(1, 3))]
    assert epsilon_of(events, DELTA) == epsilon_of(events[::-1], DELTA)
