# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from fractions import Fraction

import pytest

from coterie_common.errors import CapacityExceeded
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.headroom import check_headroom
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from tests.support.noise import noise_terms

NONE = noise_terms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.NONE, shares=3)
NOISE = noise_terms(
    mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(3 * 64**2), shares=3
)
WIDE = noise_terms(
    mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.LOCAL, variance=Fraction(1 << 56), shares=3
)


def encoding(lower: int, upper: int, units: int = 1) -> VectorEncoding:
    return VectorEncoding(
        length=4, clip_norm=Fraction(1), scale_bits=20, rounding=Rounding.EACH, units=units, lower=lower, upper=upper
    )


def test_headroom_is_what_contributors_noise_and_errors_can_reach():
    assert check_headroom(encoding(-10, 20), NONE, 7) == 140
    assert check_headroom(encoding(-30, 20), NONE, 7, error=96) == 7 * (30 + 96)
    tail = NOISE.sum_tail(7)
    assert NOISE.share_tail() < tail < 7 * NOISE.share_tail()
    assert check_headroom(encoding(-30, 20), NOISE, 7) == 7 * 30 + tail


def test_headroom_of_counts_is_in_scaled_units_too():
    counts = CountEncoding(length=4, scale_bits=3, lower=-10, upper=20)
    assert check_headroom(counts, NOISE, 7) == 7 * 160 + NOISE.sum_tail(7)
    with pytest.raises(CapacityExceeded, match=r"by ±18.25 instead of ±20, or have at most 6 parties"):
        check_headroom(counts, NONE, 7, modulus_bits=11)


def test_headroom_ends_exactly_at_the_modulus():
    assert check_headroom(encoding(0, (1 << 31) - 1), NONE, 1) == (1 << 31) - 1
    with pytest.raises(CapacityExceeded):
        check_headroom(encoding(0, 1 << 31), NONE, 1)
    assert check_headroom(encoding(0, 1 << 31), NONE, 1, modulus_bits=33) == 1 << 31


def test_headroom_exceeded_says_the_numbers_and_what_would_fit():
    with pytest.raises(CapacityExceeded) as raised:
        check_headroom(encoding(-(1 << 28), 1 << 28, units=5000), NOISE, 10)
    assert raised.value.code == "capacity-exceeded"
    message = raised.value.message
    assert "10 replies of up to ±268435456 each" in message
    assert f"±{NOISE.sum_tail(10)}" in message
    assert "do not fit 32 bits" in message
    assert "bound a party's sums by ±204.8 instead of ±256" in message
    assert "0.8 times as many records" in message
    assert "at most 7 parties" in message


def test_headroom_exceeded_by_one_vector_each_suggests_no_fewer_records():
    with pytest.raises(CapacityExceeded) as raised:
        check_headroom(encoding(-(1 << 31), 1 << 31), NOISE, 10)
    assert "records" not in raised.value.message
    assert "parties" not in raised.value.message


def test_what_headroom_suggests_fits():
    too_large = encoding(-(1 << 30), 1 << 30)
    fitting = ((1 << 31) - 1 - NOISE.sum_tail(10)) // 10
    assert check_headroom(encoding(-fitting, fitting), NOISE, 10) < 1 << 31
    with pytest.raises(CapacityExceeded):
        check_headroom(encoding(-fitting - 1, fitting + 1), NOISE, 10)
    assert check_headroom(too_large, NOISE, 1) < 1 << 31


def test_headroom_exceeded_by_noise_alone_says_so():
    with pytest.raises(CapacityExceeded, match="the noise alone is too wide"):
        check_headroom(encoding(-1, 1), WIDE, 200)
