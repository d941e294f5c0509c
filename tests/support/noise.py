# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Terms of noise by the name of their mechanism, for tests that go through several."""

from __future__ import annotations

from fractions import Fraction

from coterie_common.privacy.noise.discrete_gaussian import DiscreteGaussianNoise
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement
from tests.support.present import present


def noise_terms(
    *,
    mechanism: str = Mechanism.DISCRETE_GAUSSIAN,
    placement: Placement,
    shares: int,
    variance: Fraction | None = None,
    ratio: Fraction | None = None,
) -> NoiseTerms:
    """Return terms of a mechanism, whose size is the variance or the ratio."""
    return Mechanism(mechanism).terms.of(ratio if variance is None else variance, placement=placement, shares=shares)


def gaussian(noise: NoiseTerms) -> DiscreteGaussianNoise:
    """Return the same terms, as those of Gaussian noise, which have a variance."""
    assert isinstance(noise, DiscreteGaussianNoise)
    return noise


def variance_of(noise: NoiseTerms) -> Fraction:
    """Return the variance of Gaussian noise that there is."""
    return present(gaussian(noise).variance)
