# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie_common.learning.algorithms.noisy_counts import entropy_left, pool, project

TABLES = (np.array([[8.0, 1.0], [2.0, 9.0]]), np.array([[4.0, 3.0], [3.0, 3.0], [3.0, 4.0]]))
ROWS = st.lists(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3), min_size=1, max_size=5).map(np.array)


def test_pool_without_noise_returns_tables_unchanged():
    pooled = pool(TABLES, 0.0, np.zeros(2), math.inf)
    assert all(np.array_equal(left, right) for left, right in zip(pooled.tables, TABLES, strict=True))
    assert pooled.class_counts.tolist() == [10.0, 10.0]
    assert pooled.variance == 0.0


def test_pool_makes_every_table_sum_to_the_same_class_counts():
    pooled = pool([TABLES[0] + 3, TABLES[1] - 1], 4.0, np.array([9.0, 12.0]), 2.0)
    for table in pooled.tables:
        np.testing.assert_allclose(table.sum(axis=0), pooled.class_counts)


def test_pool_variances_are_those_of_simulated_noise():
    # 20,000 repetitions: the standard error of a variance is 1 % of it, 5 % is five of them.
    noise = np.random.default_rng(1)
    variance, known_variance, repetitions = 9.0, 25.0, 20_000
    known = np.array([10.0, 10.0])
    rows: list[list[NDArray[np.float64]]] = [[], []]
    totals: list[NDArray[np.float64]] = []
    for _ in range(repetitions):
        noisy = [table + noise.normal(0, math.sqrt(variance), table.shape) for table in TABLES]
        pooled = pool(noisy, variance, known + noise.normal(0, math.sqrt(known_variance), 2), known_variance)
        totals.append(pooled.class_counts[0])
        for number, table in enumerate(pooled.tables):
            rows[number].append(table[0, 0])
    assert np.var(totals) == pytest.approx(pooled.variance, rel=0.05)
    for number, row_variance in enumerate(pooled.row_variances):
        assert np.var(rows[number]) == pytest.approx(row_variance, rel=0.05)
        assert row_variance < variance
    assert pooled.variance < min(known_variance, 2 * variance)


@given(ROWS)
@settings(max_examples=100)
def test_project_keeps_positive_sums_and_leaves_nothing_below_zero(rows):
    projected = project(rows)
    assert projected.min() >= 0
    np.testing.assert_allclose(projected.sum(axis=1), np.maximum(rows.sum(axis=1), 0), atol=1e-8)


@given(ROWS, ROWS)
@settings(max_examples=100)
def test_project_returns_the_nearest_row_of_that_sum(rows, others):
    row, other = rows[:1], np.abs(others[:1])
    # A row too small to be scaled up to the sum is no candidate.
    if row.sum() <= 0 or other.sum() <= 1e-300 * row.sum():
        return
    other *= row.sum() / other.sum()
    assert np.linalg.norm(project(row) - row) <= np.linalg.norm(other - row) * (1 + 1e-9) + 1e-6


def test_project_of_valid_counts_returns_them():
    np.testing.assert_allclose(project(TABLES[1]), TABLES[1])


def test_entropy_left_of_pure_split_is_zero_and_of_useless_split_is_the_nodes_own():
    assert entropy_left(np.array([[7.0, 0.0], [0.0, 3.0], [0.0, 0.0]])) == pytest.approx(0)
    assert entropy_left(np.array([[5.0, 5.0], [5.0, 5.0]])) == pytest.approx(20 * math.log(2))
