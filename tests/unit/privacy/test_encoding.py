# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import CapacityExceeded, MalformedMessage, PlaintextOutOfRange
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement
from tests.support.noise import noise_terms

ENCODING = CountEncoding(length=4, scale_bits=3, lower=-5, upper=100)
NOISE = noise_terms(
    mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(48), shares=3
)


def test_encode_clamps_then_scales():
    assert list(ENCODING.encode(np.array([0, 7, -6, 101]))) == [0, 56, -40, 800]


def test_decode_undoes_the_scale_and_keeps_fractions():
    decoded = ENCODING.decode(np.array([0, 1, -12, 800]))
    assert decoded.dtype == np.float64
    assert list(decoded) == [0.0, 0.125, -1.5, 100.0]


def test_decode_of_a_sum_beyond_the_bounds_of_one_reply_is_not_clamped():
    assert ENCODING.decode(np.array([8000, -8000, 0, 0]))[0] == 1000.0


@pytest.mark.parametrize(
    "values", [np.zeros(3, np.int64), np.zeros((4, 1), np.int64), np.zeros(4), np.zeros(4, np.int32)]
)
def test_encode_and_decode_of_anything_but_the_declared_vector_raise(values):
    with pytest.raises(PlaintextOutOfRange) as raised:
        ENCODING.encode(values)
    assert raised.value.code == "plaintext-out-of-range"
    with pytest.raises(PlaintextOutOfRange):
        ENCODING.decode(values)


def test_contribution_range_holds_the_scaled_bounds_and_the_noise_tail():
    tail = NOISE.share_tail()
    assert tail == 53  # the least T with (T + 1)² ≥ 179·16
    assert ENCODING.contribution_range(NOISE) == (-40 - tail, 800 + tail)


def test_contribution_range_beyond_62_bits_raises_with_the_numbers():
    wide = CountEncoding(length=1, scale_bits=0, lower=0, upper=(1 << 62) - 1)
    with pytest.raises(CapacityExceeded, match=str((1 << 62) - 1 + 53)):
        wide.contribution_range(NOISE)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"scale_bits": -1},
        {"scale_bits": 41},
        {"lower": 101},
        {"upper": 1 << 62},
        {"lower": -(1 << 62)},
        {"upper": 1 << 30, "scale_bits": 32},
    ],
)
def test_encoding_that_cannot_be_raises(change):
    with pytest.raises(CapacityExceeded) as raised:
        CountEncoding(**{"length": 4, "scale_bits": 3, "lower": -5, "upper": 100, **change})
    assert raised.value.code == "capacity-exceeded"


def test_encoding_from_its_document_is_equal():
    assert CountEncoding.from_document(ENCODING.to_document()) == ENCODING


@pytest.mark.parametrize(
    "change", [{"length": "4"}, {"length": True}, {"length": 0}, {"lower": 1.0}, {"upper": 1 << 63}, {"more": 1}]
)
def test_malformed_document_raises(change):
    with pytest.raises(MalformedMessage) as raised:
        CountEncoding.from_document({**ENCODING.to_document(), **change})
    assert raised.value.code == "malformed-message"


def test_document_with_bounds_the_wrong_way_round_raises():
    with pytest.raises(CapacityExceeded):
        CountEncoding.from_document({**ENCODING.to_document(), "upper": -6})
