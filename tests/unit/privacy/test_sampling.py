# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy import sampling
from coterie_common.privacy.sampling import (
    DiscreteGaussian,
    NegativeBinomialDifference,
    gaussian_layout,
    negative_binomial_layout,
)
from tests.support.seeded_random import SeededRandom


@pytest.mark.parametrize("variance", [Fraction(1, 1 << 20), Fraction(1, 10), Fraction(5), Fraction(1 << 60)], ids=str)
def test_discrete_gaussian_returns_as_many_64_bit_integers_as_asked(variance):
    gaussian = DiscreteGaussian(variance)
    for count in (0, 1, 40_000):
        sample = gaussian.sample(count, SeededRandom(1))
        assert sample.dtype == np.int64
        assert sample.shape == (count,)
    assert np.abs(sample).max() < 12 * math.sqrt(variance) + 1


def test_discrete_gaussian_depends_on_its_random_source_only():
    gaussian = DiscreteGaussian(Fraction(100))
    np.random.seed(1)
    first = gaussian.sample(1000, SeededRandom("a"))
    np.random.seed(2)
    again = gaussian.sample(1000, SeededRandom("a"))
    other = gaussian.sample(1000, SeededRandom("b"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_discrete_gaussian_takes_four_random_bytes_per_candidate():
    random = Recorder("bytes")
    DiscreteGaussian(Fraction(10_000)).sample(30_000, random)
    assert 4 * 30_000 < random.bytes < 4 * 30_000 * 1.2


@pytest.mark.parametrize(
    "variance", [Fraction(0), Fraction(-1), Fraction(1, 1 << 21), Fraction((1 << 60) + 1)], ids=str
)
def test_discrete_gaussian_of_unsupported_variance_raises(variance):
    with pytest.raises(UnsupportedMechanism) as raised:
        DiscreteGaussian(variance)
    assert raised.value.code == "unsupported-mechanism"


@pytest.mark.parametrize("ratio", [Fraction(1, 1 << 16), Fraction(1, 24), Fraction(5), Fraction(512)], ids=str)
def test_negative_binomial_difference_returns_as_many_64_bit_integers_as_asked(ratio):
    difference = NegativeBinomialDifference(ratio, 3)
    for count in (0, 1, 2_000):
        sample = difference.sample(count, SeededRandom(2))
        assert sample.dtype == np.int64
        assert sample.shape == (count,)
    assert np.abs(sample).max() < 30 / ratio + 1


@pytest.mark.parametrize("ratio", [Fraction(0), Fraction(-1), Fraction(1, (1 << 16) + 1), Fraction(513)], ids=str)
def test_negative_binomial_difference_of_unsupported_ratio_raises(ratio):
    with pytest.raises(UnsupportedMechanism) as raised:
        NegativeBinomialDifference(ratio, 3)
    assert raised.value.code == "unsupported-mechanism"


def test_negative_binomial_difference_in_no_shares_raises():
    with pytest.raises(UnsupportedMechanism, match="0 shares"):
        NegativeBinomialDifference(Fraction(1), 0)


@pytest.mark.parametrize("variance", [Fraction(1, 10), Fraction(7, 3), Fraction(10_000), Fraction(10**12)], ids=str)
def test_gaussian_density_in_doubles_is_within_its_stated_error_and_enclosed(variance):
    density = sampling._HalfGaussian(variance)
    layout = gaussian_layout(variance)
    last = sum(layout.widths) - 1
    for x in sorted({0, 1, last // 3, last}):
        with mpmath.workdps(60):
            true = mpmath.exp(-(mpmath.mpf(x) ** 2) / (2 * mpmath.mpf(variance.numerator) / variance.denominator))
            assert abs(mpmath.mpf(float(density.floats(np.array([x]))[0])) / true - 1) < density.relative_error
            check_enclosed(true, density.enclose(x, 40))
    block = density.tail_block(last + 1)
    assert block & (block - 1) == 0
    assert block == 1 or (block // 2) * (last + 1) < variance  # no wider than needed
    for x in (last + 1, last + 2, 3 * last + 7):
        halved = (Fraction(x + block) ** 2 - Fraction(x) ** 2) / (2 * variance)
        assert halved > Fraction(694, 1000)  # > ln 2


@pytest.mark.parametrize(("ratio", "shares"), [(Fraction(1, 5), 1), (Fraction(1, 24), 3), (Fraction(3), 133)], ids=str)
def test_negative_binomial_density_in_doubles_is_within_its_stated_error_and_enclosed(ratio, shares):
    length = sum(negative_binomial_layout(ratio).widths)
    density = sampling._NegativeBinomial(ratio, shares, length)
    for x in sorted({0, 1, 2, length // 2, length - 1, length, length + 1, length + 37}):
        with mpmath.workdps(60):
            rate = mpmath.mpf(ratio.numerator) / ratio.denominator
            shape = mpmath.mpf(1) / shares
            true = mpmath.exp(-rate * x) * mpmath.rf(shape, x) / mpmath.factorial(x)
            if x <= length:
                assert abs(mpmath.mpf(float(density.floats(np.array([x]))[0])) / true - 1) < density.relative_error
            check_enclosed(true, density.enclose(x, 40))
    assert density.tail_block(length) * ratio >= 1


def test_layouts_end_where_the_tail_is_rare():
    assert sum(gaussian_layout(Fraction(10_000)).widths) == pytest.approx(550, abs=4)
    assert len(gaussian_layout(Fraction(1 << 60)).widths) == 352
    assert sum(negative_binomial_layout(Fraction(1, 100)).widths) == pytest.approx(1200, abs=8)


def check_enclosed(true: mpmath.mpf, bounds: tuple[Decimal, Decimal]) -> None:
    low, high = mpmath.mpf(str(bounds[0])), mpmath.mpf(str(bounds[1]))
    assert low <= true <= high
    assert high / low - 1 < mpmath.mpf(10) ** -30


class Recorder(SeededRandom):
    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.bytes = 0

    def token_bytes(self, count: int) -> bytes:
        self.bytes += count
        return super().token_bytes(count)
