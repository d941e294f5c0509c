# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.event import CountEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement
from tests.support.noise import noise_terms


def event(placement: Placement = Placement.DISTRIBUTED, **change: Any) -> CountEvent:
    noise = noise_terms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=placement, variance=Fraction(300), shares=3)
    return CountEvent(**{"l0": 8, "linf": 5, "scale_bits": 2, "noise": noise, **change})


def test_event_shift_is_in_scaled_units():
    assert event().shift == 20


def test_event_counts_the_guaranteed_shares_only():
    assert event().guaranteed_shares == 3
    assert event(Placement.LOCAL).guaranteed_shares == 1


def test_event_with_laplace_noise_costs_the_l1_distance_times_the_ratio():
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_LAPLACE, placement=Placement.DISTRIBUTED, ratio=Fraction(1, 100), shares=3
    )
    laplace = event(noise=noise)
    assert laplace.pure_epsilon == Fraction(8 * 20, 100)
    assert laplace.gaussian_variance is None
    assert event().pure_epsilon == 0


@pytest.mark.parametrize(
    "change", [{"l0": 0}, {"l0": (1 << 31) + 1}, {"linf": 0}, {"linf": 1 << 63}, {"scale_bits": -1}, {"scale_bits": 41}]
)
def test_event_that_cannot_be_raises(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        event(**change)
    assert raised.value.code == "unsupported-mechanism"
