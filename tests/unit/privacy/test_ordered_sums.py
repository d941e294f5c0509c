# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest

from coterie_common.privacy.ordered_sums import sum_leading, sum_rows


@pytest.mark.parametrize("terms", [1, 2, 3, 7, 32, 33, 65, 1000])
def test_sums_are_those_of_exact_integers(terms):
    values = np.random.default_rng(terms).integers(-1000, 1000, (9, terms)).astype(np.float64)
    expected = values.sum(axis=1)
    assert np.array_equal(sum_rows(values.copy()), expected)
    assert np.array_equal(sum_leading(values.T.copy()), expected)


@pytest.mark.parametrize("terms", [3, 19, 40, 785])
def test_sum_of_a_row_does_not_depend_on_the_others(terms):
    draw = np.random.default_rng(terms)
    rows = np.ldexp(draw.choice([1.0, -1.0], (300, terms)), draw.integers(-60, 61, (300, terms)))
    whole = sum_rows(rows.copy())
    for start, count in ((0, 1), (1, 1), (2, 3), (5, 255), (43, 256), (0, 299)):
        part = slice(start, start + count)
        assert np.array_equal(sum_rows(rows[part].copy()), whole[part])
        assert np.array_equal(sum_rows(np.array(rows[part], order="F")), whole[part])
    # the order decides: these numbers added up otherwise are others
    assert not np.array_equal(sum_rows(np.roll(rows, 1, axis=1)), whole)


def test_sum_of_no_rows_is_none():
    assert sum_rows(np.zeros((0, 5))).shape == (0,)
