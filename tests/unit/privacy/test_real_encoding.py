# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.errors import (
    CapacityExceeded,
    MalformedMessage,
    PlaintextOutOfRange,
    UnsupportedMechanism,
    VectorsNotFinite,
    WrongVectorShape,
)
from coterie_common.privacy.conditional_rounding import conditional_bound
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from coterie_common.privacy.vectors import TILE, clip, summation_error
from tests.support.noise import noise_terms
from tests.support.seeded_random import SeededRandom

NORM = Fraction(1, 10)
NOISE = noise_terms(
    mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(300), shares=3
)


def encoding(length: int = 3, rounding: Rounding = Rounding.EACH, **change: Any) -> VectorEncoding:
    terms = {"clip_norm": NORM, "scale_bits": 14, "units": 50, "lower": -(10**6), "upper": 10**6}
    return VectorEncoding(length=length, rounding=rounding, **{**terms, **change})


def reals(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def square(vector: Iterable[float]) -> int:
    return sum(int(x) ** 2 for x in vector)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 3, 1000, TILE + 3])
def test_encode_is_the_scaled_sum_of_clipped_rows_but_for_rounding(rounding, dtype, length):
    rows = reals(1, 20, length).astype(dtype)
    rows[::2] *= 1e-3
    codec = encoding(length, rounding)
    encoded = codec.encode([rows[:7], rows[7:8], rows[8:]], SeededRandom("sum"))
    assert encoded.dtype == np.int64
    exact = np.ldexp(clip(rows, NORM).sum(axis=0), 14)
    assert np.all(np.abs(encoded - exact) <= (20 if rounding is Rounding.EACH else 1))
    # 20 independent roundings have a standard deviation of at most √5; seven of those for the largest of 65,539.
    assert np.all(np.abs(encoded - exact) <= 7 * math.sqrt(5))
    decoded = codec.decode(encoded)
    assert np.allclose(decoded, exact / 2**14, atol=20 / 2**14)


@pytest.mark.parametrize("rounding", Rounding)
def test_encode_of_no_record_is_zero(rounding):
    assert encoding(4, rounding).encode([], SeededRandom("none")).tolist() == [0] * 4
    assert encoding(4, rounding).encode([np.empty((0, 4))], SeededRandom("none")).tolist() == [0] * 4


@pytest.mark.parametrize("rounding", Rounding)
def test_encode_of_zero_vectors_is_zero(rounding):
    assert encoding(4, rounding).encode([np.zeros((9, 4))], SeededRandom("zero")).tolist() == [0] * 4


def test_encode_is_unbiased():
    rows = np.tile(np.array([[0.3, -0.7, 0.0]]) / 2**14, (50, 1))
    source = SeededRandom("unbiased")
    codec = encoding()
    total = sum(codec.encode([rows], source) for _ in range(400))
    # 20,000 roundings of variance below 1/4 each; six standard deviations.
    assert np.all(np.abs(total / 20_000 - np.array([0.3, -0.7, 0])) < 6 * 0.5 / math.sqrt(20_000))


@pytest.mark.parametrize("length", [1, 2, 50, TILE + 1])
def test_one_row_never_changes_the_sum_by_more_than_the_sensitivity(length):
    codec = encoding(length, units=1)
    for seed, size in enumerate((0.1, 1e-4, 1e6, 1.0)):
        row = reals(seed, 1, length) * size
        encoded = codec.encode([row], SeededRandom(seed))
        assert square(encoded) <= codec.squared_sensitivity


def test_sensitivity_after_rounding_each_holds_by_brute_force():
    # Two dimensions, c = 3/2: every neighbour on a fine grid, every way to round both data sets, clamped.
    codec = encoding(2, clip_norm=Fraction(3, 2), scale_bits=0, lower=-2, upper=2)
    grid = [
        np.array(x) for x in itertools.product(np.arange(-1.5, 1.6, 0.25), repeat=2) if x[0] ** 2 + x[1] ** 2 <= 2.25
    ]

    def outcomes(vector: NDArray[np.float64]) -> list[NDArray[np.int64]]:
        each = [{math.floor(x), math.ceil(x)} for x in vector]
        return [np.array(x) for x in itertools.product(*each) if square(x) <= codec.squared_sensitivity]

    worst = 0
    for rest in (np.array([0, 0]), np.array([1, -2]), np.array([2, 2])):
        for record in grid:
            for outcome in outcomes(record):
                change = np.clip(rest + outcome, -2, 2) - np.clip(rest, -2, 2)
                worst = max(worst, square(change))
    assert 4 <= worst <= codec.squared_sensitivity


def test_sensitivity_after_rounding_the_sum_holds_by_brute_force():
    # The same uniform for both sums: every sum and change on a fine grid, every uniform.
    codec = encoding(2, Rounding.SUM, clip_norm=Fraction(3, 2), scale_bits=0)
    worst = 0
    uniforms = np.arange(0, 1, 1 / 16)
    for start in (0.0, 0.25, 0.4375):
        for change in itertools.product(np.arange(-1.5, 1.6, 0.25), repeat=2):
            if change[0] ** 2 + change[1] ** 2 > 2.25:
                continue
            moved = [np.abs(np.floor(start + delta + uniforms) - np.floor(start + uniforms)).max() for delta in change]
            worst = max(worst, square(moved))
    assert 4 <= worst <= codec.squared_sensitivity
    assert worst > codec.scaled_norm**2  # rounding does cost something


def test_squared_sensitivity_follows_the_formulas():
    each, once = encoding(10_000), encoding(10_000, Rounding.SUM, units=1000)
    norm = NORM * 2**14
    assert each.scaled_norm == norm
    assert each.squared_sensitivity == conditional_bound(norm, 10_000)
    assert once.squared_sensitivity == math.floor((norm * (1 + summation_error(1000)) + 100) ** 2)
    assert each.inflation == pytest.approx(math.sqrt(each.squared_sensitivity) / float(norm) - 1)
    assert 0 < each.inflation < 0.003 < once.inflation
    assert replace(each, length=100).squared_sensitivity < each.squared_sensitivity


def test_rounding_variance_counts_every_rounding():
    assert encoding().rounding_variance(Fraction(1)) == Fraction(50, 4)
    assert encoding().rounding_variance(Fraction(1, 10)) == Fraction(5, 4)
    assert encoding(rounding=Rounding.SUM).rounding_variance(Fraction(1, 10)) == Fraction(1, 4)


@pytest.mark.parametrize("rounding", Rounding)
def test_encode_clamps_the_sum_and_not_the_rows(rounding):
    rows = np.array([[0.1, 0.0], [0.1, 0.0], [-0.1, 0.0], [0.0, -0.1]])
    codec = encoding(2, rounding, lower=-1000, upper=1639)
    encoded = codec.encode([rows], SeededRandom("clamp"))
    assert 1638 <= encoded[0] <= 1639  # 0.1 + 0.1 − 0.1 in all, although 0.1 + 0.1 alone is out of range
    assert encoded[1] == -1000


@pytest.mark.parametrize("size", [1, 100, 2048, TILE, 10**6])
@pytest.mark.parametrize("length", [1, 5000])
def test_encode_blocks_are_the_encoded_vector_in_pieces(size, length):
    codec = encoding(length, units=1, lower=-3, upper=3)
    row = reals(2, 1, length)
    blocks = list(codec.encode_blocks(row, SeededRandom("blocks"), size))
    assert all(len(block) == size for block in blocks[:-1])
    encoded = np.concatenate(blocks)
    exact = np.clip(np.ldexp(clip(row, NORM)[0], 14), -3, 3)
    assert np.all(np.abs(encoded - exact) <= 1)
    assert square(encoded) <= codec.squared_sensitivity


def test_encode_blocks_of_what_cannot_be_encoded_raises_before_the_first_piece():
    codec = encoding(3, units=1)
    with pytest.raises(VectorsNotFinite, match="vector 0,"):
        codec.encode_blocks(np.array([[0.0, math.nan, 0.0]]), SeededRandom("bad"))
    with pytest.raises(WrongVectorShape):
        codec.encode_blocks(np.zeros((1, 4)), SeededRandom("bad"))
    with pytest.raises(WrongVectorShape):
        codec.encode_blocks(np.zeros((2, 3)), SeededRandom("bad"))


@pytest.mark.parametrize("rounding", Rounding)
def test_encode_of_what_is_not_finite_names_the_row_over_all_batches(rounding):
    batches = [np.zeros((4, 3)), np.array([[0.0, 0.0, 0.0], [0.0, math.inf, 0.0]])]
    with pytest.raises(VectorsNotFinite, match="vector 5,") as raised:
        encoding(rounding=rounding).encode(batches, SeededRandom("bad"))
    assert raised.value.code == "vectors-not-finite"


@pytest.mark.parametrize("rounding", Rounding)
def test_encode_of_another_shape_or_of_too_many_rows_raises(rounding):
    codec = encoding(rounding=rounding, units=5)
    wrong: tuple[Any, ...] = (np.zeros((1, 2)), np.zeros(3), np.zeros((1, 3), dtype=np.int32))
    for rows in wrong:
        with pytest.raises(WrongVectorShape) as raised:
            codec.encode([rows], SeededRandom("shape"))
        assert raised.value.code == "wrong-vector-shape"
    with pytest.raises(WrongVectorShape, match="more vectors than the 5"):
        codec.encode([np.zeros((3, 3)), np.zeros((3, 3))], SeededRandom("shape"))


def test_decode_of_another_shape_or_type_raises():
    codec = encoding()
    wrong: tuple[Any, ...] = (np.zeros(2, dtype=np.int64), np.zeros(3))
    for total in wrong:
        with pytest.raises(PlaintextOutOfRange) as raised:
            codec.decode(total)
        assert raised.value.code == "plaintext-out-of-range"


def test_decode_undoes_the_scale():
    assert encoding(scale_bits=3).decode(np.array([8, -4, 1])).tolist() == [1.0, -0.5, 0.125]
    assert encoding(scale_bits=-3, clip_norm=Fraction(10**4)).decode(np.array([8, -4, 1])).tolist() == [64, -32, 8]


def test_contribution_range_holds_values_and_noise():
    tail = NOISE.share_tail()
    assert encoding(lower=-5, upper=7).contribution_range(NOISE) == (-5 - tail, 7 + tail)
    with pytest.raises(CapacityExceeded, match="62 bits"):
        encoding(upper=(1 << 62) - 1).contribution_range(NOISE)


def test_event_has_the_sensitivity_after_rounding():
    event = encoding().event(NOISE, Unit.RECORD, Fraction(1, 3))
    assert (event.length, event.squared_sensitivity) == (3, encoding().squared_sensitivity)
    assert (event.noise, event.unit, event.sampling_rate) == (NOISE, Unit.RECORD, Fraction(1, 3))
    assert encoding(units=1).event(NOISE, Unit.PARTY, None).unit is Unit.PARTY
    with pytest.raises(UnsupportedMechanism, match="one vector"):
        encoding(units=2).event(NOISE, Unit.PARTY, None)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"units": 0},
        {"units": (1 << 31) + 1},
        {"units": 1, "rounding": Rounding.SUM},
        {"scale_bits": 97},
        {"scale_bits": -65},
        {"lower": 1},
        {"upper": -1},
        {"lower": 0, "upper": 0},
        {"upper": 1 << 62},
        {"lower": -(1 << 62)},
        {"scale_bits": 35},  # a norm beyond 2^31
        {"scale_bits": 33, "rounding": Rounding.SUM, "units": 1 << 25},  # a sum beyond 2^52
    ],
    ids=str,
)
def test_encoding_that_cannot_be_raises(change):
    with pytest.raises(CapacityExceeded) as raised:
        encoding(**change)
    assert raised.value.code == "capacity-exceeded"


@pytest.mark.parametrize("norm", [Fraction(0), Fraction(-1), Fraction(1 << 65)])
def test_encoding_with_an_impossible_norm_raises(norm):
    with pytest.raises(UnsupportedMechanism):
        encoding(clip_norm=norm)


@pytest.mark.parametrize("rounding", Rounding)
def test_encoding_from_its_document_is_equal(rounding):
    stated = encoding(7, rounding, clip_norm=Fraction(22, 7), scale_bits=-3)
    assert VectorEncoding.from_document(json.loads(json.dumps(stated.to_document()))) == stated


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"length": True},
        {"clip_norm": "2/4"},
        {"clip_norm": 0.1},
        {"rounding": "none"},
        {"rounding": 1},
        {"units": 0},
        {"scale_bits": 97},
        {"lower": 1},
        {"upper": -1},
        {"more": 1},
    ],
    ids=str,
)
def test_malformed_document_raises(change):
    with pytest.raises(MalformedMessage) as raised:
        VectorEncoding.from_document({**encoding().to_document(), **change})
    assert raised.value.code == "malformed-message"


def test_document_of_an_impossible_encoding_raises():
    with pytest.raises(CapacityExceeded):
        VectorEncoding.from_document({**encoding().to_document(), "scale_bits": 35})
    with pytest.raises(UnsupportedMechanism):
        VectorEncoding.from_document({**encoding().to_document(), "clip_norm": "0/1"})
