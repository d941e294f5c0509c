# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.loss import renyi_epsilon
from coterie_common.privacy.accounting.renyi import ORDERS, divergences_of, renyi_bound, renyi_profile
from coterie_common.privacy.event import CountEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement
from tests.support.distributions import gaussian_pmf
from tests.support.noise import noise_terms

DELTA = Fraction(1, 10**5)


def gaussian_event(
    variance: Fraction = Fraction(300), l0: int = 8, shares: int = 3, placement: Placement = Placement.DISTRIBUTED
) -> CountEvent:
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        placement=placement,
        variance=None if placement is Placement.NONE else variance,
        shares=shares,
    )
    return CountEvent(l0=l0, linf=1, scale_bits=0, noise=noise)


@pytest.mark.parametrize("variance", [Fraction(3, 2), Fraction(6), Fraction(48)], ids=str)
def test_divergences_bound_those_of_the_summed_shares(variance):
    noise = gaussian_pmf(float(variance) / 3, reach=18).times(3)
    here, there = noise.probabilities[1:], noise.probabilities[:-1]
    common = (here > 1e-300) & (there > 1e-300)
    here, there = here[common], there[common]
    stated = divergences_of([gaussian_event(variance, l0=1)])
    for order, bound in zip(ORDERS[:16], stated[:16], strict=True):
        true = float(np.log((here * (here / there) ** (order - 1)).sum()) / (order - 1))
        assert true <= bound * (1 + 1e-9)
        assert bound <= true * 1.001 or variance < 6  # the sum of narrow shares pays for what it is not


def test_divergences_of_one_gaussian_release_are_alpha_times_rho():
    assert divergences_of([gaussian_event()]) == pytest.approx([order * 8 / 600 for order in ORDERS])


def test_bound_is_that_of_concentrated_differential_privacy_or_better():
    rho = 8 / 600
    assert rho < renyi_bound([gaussian_event()], DELTA) < rho + 2 * math.sqrt(rho * math.log(1e5))
    assert renyi_bound([gaussian_event(placement=Placement.NONE)], DELTA) == math.inf


def test_profile_is_the_inverse_of_the_conversion():
    divergences = divergences_of([gaussian_event()])
    epsilons = np.array([0.1, 0.5, 1.0])
    for epsilon, delta in zip(epsilons, renyi_profile(divergences, epsilons), strict=True):
        assert renyi_epsilon(ORDERS, divergences, float(delta)) == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("divergences", [(1.0,), (-1.0,) * len(ORDERS), (math.nan,) * len(ORDERS)])
def test_profile_of_no_divergences_raises(divergences):
    with pytest.raises(UnsupportedMechanism, match="Rényi divergences"):
        renyi_profile(divergences, np.array([1.0]))
