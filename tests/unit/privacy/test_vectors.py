# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.errors import UnsupportedMechanism, VectorsNotFinite, WrongVectorShape
from coterie_common.privacy.vectors import (
    MAX_CLIP_NORM,
    MIN_CLIP_NORM,
    TILE,
    clip,
    clip_and_sum,
    squared_norms,
    summation_error,
    tiles,
)

NORM = Fraction(1, 10)


def reals(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def exact_square(row: NDArray[np.float64]) -> Fraction:
    return sum((Fraction(float(x)) ** 2 for x in row), Fraction(0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", [NORM, Fraction(1), Fraction(7, 3), Fraction(10**6), MIN_CLIP_NORM, MAX_CLIP_NORM])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e18, 1e30])
def test_clip_leaves_no_row_longer_than_the_norm(dtype, norm, size):
    rows = (reals(1, 40, 7) * size).astype(dtype)
    clipped = clip(rows, norm)
    assert clipped.dtype == np.float64
    for row, before in zip(clipped, rows, strict=True):
        assert exact_square(row) <= norm**2
        if exact_square(before) > norm**2:
            # Scaled down by the margin only.
            assert math.sqrt(exact_square(row)) == pytest.approx(float(norm), rel=1e-14)
            assert np.allclose(row / np.linalg.norm(row), before / np.linalg.norm(before.astype(np.float64)), rtol=1e-6)


def test_clip_of_rows_next_to_the_norm_never_exceeds_it():
    # Directions in which the rounded norm is as likely below as above the true one.
    rows = reals(2, 300, 5)
    rows *= float(NORM) / np.linalg.norm(rows, axis=1, keepdims=True)
    assert any(exact_square(row) > NORM**2 for row in rows)
    assert all(exact_square(row) <= NORM**2 for row in clip(rows, NORM))


def test_clip_of_a_long_row_takes_the_error_of_its_sum_into_account():
    row = reals(3, 1, 3 * TILE + 5)
    norm = Fraction(math.sqrt(exact_square(row[0])))
    clipped = clip(row * 3, norm)
    assert norm**2 * (1 - Fraction(1, 10**9)) <= exact_square(clipped[0]) <= norm**2


def test_clip_of_short_rows_changes_nothing():
    rows = reals(4, 10, 3) * 1e-3
    assert np.array_equal(clip(rows, NORM), rows)


@pytest.mark.parametrize("tiny", [0.0, 5e-324, 1e-200])
def test_clip_of_a_norm_of_zero_or_next_to_it_changes_nothing(tiny):
    rows = np.full((2, 4), tiny)
    assert np.array_equal(clip(rows, NORM), rows)


def test_clip_of_no_rows_is_no_rows():
    assert clip(np.empty((0, 5)), NORM).shape == (0, 5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e200])
def test_clip_of_what_is_not_finite_names_the_row_and_nothing_else(bad):
    rows = reals(5, 6, 3)
    rows[4, 1] = bad
    rows[5, 0] = math.nan
    with pytest.raises(VectorsNotFinite) as raised:
        clip(rows, NORM)
    assert raised.value.code == "vectors-not-finite"
    assert "vector 4," in raised.value.message
    assert not any(str(x)[:5] in raised.value.message for x in (rows[4, 0], rows[4, 2]))


def test_clip_of_32_bit_extremes_does_not_overflow():
    rows = np.full((1, 9), np.finfo(np.float32).max, dtype=np.float32)
    assert math.sqrt(exact_square(clip(rows, NORM)[0])) == pytest.approx(0.1, rel=1e-14)


@pytest.mark.parametrize("norm", [Fraction(0), Fraction(-1), MIN_CLIP_NORM / 2, MAX_CLIP_NORM * 2])
def test_clip_to_an_impossible_norm_raises(norm):
    with pytest.raises(UnsupportedMechanism) as raised:
        clip(reals(6, 1, 2), norm)
    assert raised.value.code == "unsupported-mechanism"


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (70_000, 1), (3, TILE), (2, TILE + 1), (1, 3 * TILE), (0, 4)])
def test_tiles_cover_every_number_once_and_are_small(shape):
    covered = np.zeros(shape, dtype=np.int64)
    for vertical, horizontal in tiles(np.empty(shape, dtype=np.float32)):
        tile = covered[vertical, horizontal]
        assert 0 < tile.size <= TILE
        assert tile.shape[0] == 1 or tile.shape[1] == shape[1]
        tile += 1
    assert np.all(covered == 1)


def test_squared_norms_counts_rows_from_where_it_is_told():
    rows = np.zeros((3, 2))
    rows[2] = math.nan
    with pytest.raises(VectorsNotFinite, match="vector 1002,"):
        squared_norms(rows, 1000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_and_sum_is_the_sum_of_clipped_rows_however_they_come(dtype):
    rows = reals(7, 90, 11).astype(dtype)
    expected = clip(rows, NORM).sum(axis=0)
    for cuts in ([], [1], [10, 10, 89], list(range(1, 90))):
        total = clip_and_sum(np.split(rows, cuts), NORM, length=11, maximum=90)
        assert np.allclose(total, expected, rtol=0, atol=1e-14)
    assert np.array_equal(clip_and_sum([], NORM, length=3, maximum=1), np.zeros(3))


def test_clip_and_sum_of_long_rows_is_their_sum():
    rows = reals(8, 3, TILE + 100)
    assert np.allclose(
        clip_and_sum([rows[:2], rows[2:]], NORM, length=TILE + 100, maximum=3), clip(rows, NORM).sum(axis=0), atol=1e-14
    )


def test_clip_and_sum_in_any_order_stays_within_the_declared_error():
    # Large numbers that cancel, small ones that get lost beside them: the worst that doubles do.
    rows = np.concatenate((reals(9, 500, 2) * 1e3, reals(10, 500, 2) * 1e-9))
    exact = [sum((Fraction(float(x)) for x in column), Fraction(0)) for column in clip(rows, NORM).T]
    bound = NORM * summation_error(1000) / 2
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(1000)
        total = clip_and_sum(np.split(rows[order], [300, 301]), NORM, length=2, maximum=1000)
        error = sum(((Fraction(float(x)) - y) ** 2 for x, y in zip(total, exact, strict=True)), Fraction(0))
        assert error <= bound**2


def test_summation_error_is_above_the_textbook_bound():
    unit = Fraction(1, 1 << 53)
    for count in (1, 2, 100, 10**6, 2**26 - 1):
        textbook = 2 * count * (count + 1) * unit / (1 - (count + 1) * unit)
        assert textbook <= summation_error(count) <= 2 * textbook
    with pytest.raises(UnsupportedMechanism, match="too many"):
        summation_error(2**26)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 4)),
        np.zeros(3),
        np.zeros((1, 3, 1)),
        np.zeros((2, 3), dtype=np.int64),
        np.zeros((2, 3), np.float16),
    ],
    ids=lambda rows: f"{rows.dtype}{rows.shape}",
)
def test_clip_and_sum_of_another_shape_or_type_raises(rows):
    with pytest.raises(WrongVectorShape) as raised:
        clip_and_sum([rows], NORM, length=3, maximum=10)
    assert raised.value.code == "wrong-vector-shape"


def test_clip_and_sum_of_more_rows_than_declared_raises():
    batches = [np.zeros((3, 2)), np.zeros((2, 2))]
    assert clip_and_sum(batches, NORM, length=2, maximum=5).tolist() == [0, 0]
    with pytest.raises(WrongVectorShape, match="more vectors than the 4"):
        clip_and_sum(batches, NORM, length=2, maximum=4)


def test_clip_and_sum_names_the_row_counted_over_all_batches():
    with pytest.raises(VectorsNotFinite, match="vector 5,"):
        clip_and_sum([np.zeros((5, 1)), np.array([[math.nan]])], NORM, length=1, maximum=10)
