# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.privacy.accounting.epsilon import calibrate
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement, noise_from_document
from tests.support.noise import noise_terms
from tests.support.seeded_random import SeededRandom

DELTA = Fraction(1, 10**5)
GAUSSIAN, LAPLACE = Mechanism.DISCRETE_GAUSSIAN, Mechanism.DISCRETE_LAPLACE


def gaussian(variance: Fraction | int, shares: int = 3, placement: Placement = Placement.DISTRIBUTED) -> NoiseTerms:
    return noise_terms(mechanism=GAUSSIAN, placement=placement, variance=Fraction(variance), shares=shares)


def laplace(ratio: Fraction | int, shares: int = 3, placement: Placement = Placement.DISTRIBUTED) -> NoiseTerms:
    return noise_terms(mechanism=LAPLACE, placement=placement, ratio=Fraction(ratio), shares=shares)


def no_noise(mechanism: Mechanism = GAUSSIAN) -> NoiseTerms:
    return noise_terms(mechanism=mechanism, placement=Placement.NONE, shares=3)


def test_share_variance_is_a_share_of_the_guaranteed_noise_when_distributed():
    assert gaussian(48).share_variance == 16.0
    assert gaussian(48, placement=Placement.LOCAL).share_variance == 48.0
    assert no_noise().share_variance == 0.0
    whole = 2 * math.exp(-0.5) / (1 - math.exp(-0.5)) ** 2
    assert laplace(Fraction(1, 2)).share_variance == pytest.approx(whole / 3)
    assert laplace(Fraction(1, 2), placement=Placement.LOCAL).share_variance == pytest.approx(whole)


def test_aggregate_stddev_grows_with_the_contributors():
    assert gaussian(48).aggregate_stddev(3) == pytest.approx(math.sqrt(48))
    assert gaussian(48).aggregate_stddev(4) == pytest.approx(8.0)
    assert gaussian(48, placement=Placement.LOCAL).aggregate_stddev(4) == pytest.approx(math.sqrt(192))
    assert no_noise().aggregate_stddev(4) == 0.0


@pytest.mark.parametrize("variance", [Fraction(1, 10), Fraction(1), Fraction(33461, 300), Fraction(10**6)], ids=str)
def test_share_tail_of_gaussian_is_exceeded_with_at_most_2_to_the_minus_128(variance):
    tail = gaussian(variance, shares=1).share_tail()
    with mpmath.workdps(60):
        v = mpmath.mpf(variance.numerator) / variance.denominator

        def mass(start: int) -> mpmath.mpf:
            # Geometric majorant of the terms after the first 200: they decrease faster.
            terms = [mpmath.exp(-(mpmath.mpf(x) ** 2) / (2 * v)) for x in range(start, start + 200)]
            return mpmath.fsum(terms) + terms[-1] / (1 - terms[-1] / terms[-2])

        norm = mpmath.jtheta(3, 0, mpmath.exp(-1 / (2 * v)))
        assert 2 * mass(tail + 1) / norm <= mpmath.mpf(2) ** -128
    # No more than the bound of Chernoff asks for.
    assert tail <= math.sqrt(2 * variance * 129 * math.log(2)) * 1.001 + 1


@pytest.mark.parametrize(("ratio", "shares"), [(Fraction(1, 24), 3), (Fraction(2), 3), (Fraction(1, 5), 1)], ids=str)
def test_share_tail_of_laplace_is_exceeded_with_at_most_2_to_the_minus_128(ratio, shares):
    tail = laplace(ratio, shares).share_tail()
    with mpmath.workdps(60):
        rate, shape = mpmath.mpf(ratio.numerator) / ratio.denominator, mpmath.mpf(1) / shares
        term = (1 - mpmath.exp(-rate)) ** shape * mpmath.rf(shape, tail + 1) / mpmath.factorial(tail + 1)
        # NB(1/h) beyond T, doubled; later terms fall by at least e^−r each.
        one_side = term * mpmath.exp(-rate * (tail + 1)) / (1 - mpmath.exp(-rate))
        assert 2 * one_side <= mpmath.mpf(2) ** -128
    assert tail <= 129 * math.log(2) / ratio * 1.01 + 1


def test_share_tail_without_noise_is_zero():
    assert no_noise().share_tail() == 0
    assert no_noise().sum_tail(9) == 0


def test_sum_tail_of_gaussian_is_that_of_one_gaussian_with_all_the_variance():
    assert gaussian(48).sum_tail(1) == gaussian(48).share_tail()
    assert gaussian(48).sum_tail(9) == gaussian(9 * 48).share_tail()
    assert gaussian(48, placement=Placement.LOCAL).sum_tail(9) == gaussian(9 * 48, shares=1).share_tail()


def test_sum_tail_of_laplace_is_the_tails_of_all_shares():
    assert laplace(Fraction(1, 24)).sum_tail(9) == 9 * laplace(Fraction(1, 24)).share_tail()


def test_draw_share_is_reproducible_and_within_its_tail():
    for terms in (gaussian(48), laplace(Fraction(1, 5)), gaussian(48, placement=Placement.LOCAL)):
        share = terms.draw_share(5000, SeededRandom(3))
        assert share.dtype == np.int64
        assert share.shape == (5000,)
        assert 0 < np.abs(share).max() <= terms.share_tail()
        assert np.array_equal(share, terms.draw_share(5000, SeededRandom(3)))


def test_draw_share_without_noise_is_zero_and_takes_no_randomness():
    assert not no_noise().draw_share(7, NoRandom()).any()


@pytest.mark.parametrize(
    "terms",
    [gaussian(Fraction(33461, 100)), laplace(Fraction(1, 24)), gaussian(5, 1, Placement.LOCAL), no_noise(LAPLACE)],
    ids=str,
)
def test_terms_from_their_document_are_equal(terms):
    assert noise_from_document(terms.to_document()) == terms


@pytest.mark.parametrize(
    "change",
    [
        {"variance": None},
        {"variance": None, "ratio": "1/2"},
        {"ratio": "1/2"},
        {"placement": "none"},
        {"mechanism": "discrete-laplace"},
        {"variance": "0/1"},
        {"variance": "1/1000000000"},
        {"variance": "4000000000000000000/1"},
    ],
)
def test_terms_that_do_not_fit_together_raise_unsupported(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        noise_from_document({**gaussian(5).to_document(), **change})
    assert raised.value.code == "unsupported-mechanism"


@pytest.mark.parametrize("ratio", ["0/1", "1/100000", "1000/1"])
def test_laplace_terms_of_impossible_ratio_raise_unsupported(ratio):
    with pytest.raises(UnsupportedMechanism):
        noise_from_document({**laplace(1).to_document(), "ratio": ratio})


@pytest.mark.parametrize("shares", [0, -1, 201])
def test_terms_with_impossible_shares_raise_unsupported(shares):
    with pytest.raises(UnsupportedMechanism):
        gaussian(500, shares)


@pytest.mark.parametrize(
    "change",
    [
        {"mechanism": "gaussian"},
        {"mechanism": 1},
        {"placement": None},
        {"placement": "everywhere"},
        {"variance": 5},
        {"variance": "10/2"},
        {"shares": 0},
        {"shares": True},
        {"shares": 3.0},
        {"shares": 201},
        {"extra": 1},
    ],
)
def test_malformed_document_raises(change):
    with pytest.raises(MalformedMessage) as raised:
        noise_from_document({**gaussian(5).to_document(), **change})
    assert raised.value.code == "malformed-message"


def test_document_that_is_no_object_raises():
    with pytest.raises(MalformedMessage):
        noise_from_document(["discrete-gaussian"])


# What every mechanism must satisfy.


def chosen(mechanism: Mechanism, placement: Placement = Placement.DISTRIBUTED) -> list[NoiseTerms]:
    events = calibrate(
        [(2, 1), (1, 3)],
        epsilon=Fraction(1),
        delta=DELTA if mechanism.terms.needs_delta else Fraction(0),
        mechanism=mechanism,
        placement=placement,
        shares=3,
    )
    return [event.noise for event in events]


@pytest.mark.parametrize("mechanism", Mechanism)
def test_mechanism_chosen_for_a_goal_is_its_own_class_and_survives_its_document(mechanism):
    for noise in (*chosen(mechanism), *chosen(mechanism, Placement.LOCAL), *chosen(mechanism, Placement.NONE)):
        assert type(noise) is mechanism.terms
        assert noise.mechanism == mechanism.value
        assert noise.to_document().keys() == {"mechanism", "placement", "variance", "ratio", "shares"}
        assert noise_from_document(noise.to_document()) == noise
        assert noise.of(noise.size, placement=noise.placement, shares=noise.shares) == noise


@pytest.mark.parametrize("mechanism", Mechanism)
def test_mechanism_is_known_to_the_accountant_in_exactly_one_way(mechanism):
    for noise in chosen(mechanism):
        assert (noise.pure_epsilon(1) > 0) is (noise.gaussian_variance is None)
        assert noise.pure_epsilon(6) == 6 * noise.pure_epsilon(1)
        assert noise.needs_delta is (noise.gaussian_variance is not None)


@pytest.mark.parametrize("mechanism", Mechanism)
def test_mechanism_draws_shares_of_the_variance_and_within_the_tails_that_it_states(mechanism):
    for noise in (*chosen(mechanism), *chosen(mechanism, Placement.LOCAL)):
        share = noise.draw_share(20_000, SeededRandom(mechanism.value))
        assert np.abs(share).max() <= noise.share_tail() <= noise.sum_tail(2)
        # A third of a Laplace has an excess kurtosis of 9: the variance of 20,000 draws has a standard error of 2.4 %.
        assert np.var(share) == pytest.approx(noise.share_variance, rel=0.12)
        assert abs(np.mean(share)) <= 5 * math.sqrt(noise.share_variance / 20_000)


@pytest.mark.parametrize("mechanism", Mechanism)
def test_mechanism_without_noise_draws_none_and_bounds_nothing(mechanism):
    (none, _) = chosen(mechanism, Placement.NONE)
    assert (none.size, none.share_variance, none.share_tail(), none.sum_tail(5)) == (None, 0.0, 0, 0)
    assert (none.gaussian_variance, none.pure_epsilon(1)) == (None, 0)
    assert not none.draw_share(3, NoRandom()).any()


class NoRandom:
    def token_bytes(self, count: int) -> bytes:
        raise AssertionError("no randomness expected")

    def randbits(self, bits: int) -> int:
        raise AssertionError("no randomness expected")

    def randbelow(self, bound: int) -> int:
        raise AssertionError("no randomness expected")
