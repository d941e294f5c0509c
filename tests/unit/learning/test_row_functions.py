# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

from coterie_common.errors import RowsNotIndependent
from coterie_common.learning.algorithms.row_functions import (
    BLOCK,
    check_places,
    cross_entropy,
    linear_outputs,
    same_bits,
    sigmoid,
    softmax,
)

DRAW = np.random.default_rng(4)


@pytest.mark.parametrize(("rows", "width", "outputs"), [(0, 3, 2), (1, 1, 1), (700, 5, 3), (90, 800, 2)])
def test_linear_outputs_are_the_matrix_product(rows, width, outputs):
    inputs = DRAW.uniform(-1, 1, (rows, width)).astype(np.float32)
    weights, intercepts = DRAW.normal(size=(width, outputs)), DRAW.normal(size=outputs)
    expected = inputs.astype(np.float64) @ weights + intercepts
    np.testing.assert_allclose(linear_outputs(inputs, weights, intercepts), expected, rtol=1e-12, atol=1e-12)


def test_functions_are_those_of_scipy():
    logits, classes = DRAW.normal(size=(500, 4)) * 20, DRAW.integers(0, 4, 500)
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(logits, axis=1), rtol=1e-12)
    np.testing.assert_allclose(sigmoid(logits), scipy.special.expit(logits), rtol=1e-12)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(500), classes]
    np.testing.assert_allclose(cross_entropy(logits, classes), expected, rtol=1e-9, atol=1e-12)


def test_functions_of_extremes_stay_where_they_belong():
    with np.errstate(all="raise"):
        assert sigmoid(np.array([[1e308], [-1e308], [0.0]])).tolist() == [[1], [0], [0.5]]
        assert softmax(np.array([[1e308, -1e308], [0.0, 0.0]])).tolist() == [[1, 0], [0.5, 0.5]]


def test_functions_of_no_records_are_none():
    assert softmax(np.zeros((0, 3))).shape == (0, 3)
    assert sigmoid(np.zeros((0, 1))).shape == (0, 1)
    assert cross_entropy(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0,)


@pytest.mark.parametrize("function", [np.exp, np.log, np.sqrt])
def test_check_places_of_a_function_of_each_number_passes(function):
    check_places(function)


def last_ones_otherwise(values: NDArray[np.float64], results: NDArray[np.float64]) -> None:
    """As a library does that computes what does not fill a register by other means."""
    np.exp(values, out=results)
    results[-4:] *= 1 + 2**-52


def neighbours_matter(values: NDArray[np.float64], results: NDArray[np.float64]) -> None:
    """As a library does that takes another path for a register with an extreme number in it."""
    np.exp(values, out=results)
    lanes = results.reshape(-1, 4)
    lanes[np.isnan(lanes).any(axis=1)] *= 1 + 2**-52


@pytest.mark.parametrize("function", [last_ones_otherwise, neighbours_matter])
def test_check_places_of_a_function_of_places_or_neighbours_raises(function):
    with pytest.raises(RowsNotIndependent) as caught:
        check_places(function)
    assert caught.value.code == "rows-not-independent"


def test_same_bits_tells_zeros_apart_and_takes_any_nan():
    assert not same_bits(np.zeros(2), -np.zeros(2))
    nan = np.array([np.nan, 1.0])
    other = nan.copy()
    other.view(np.int64)[0] += 1
    assert same_bits(nan, other)
    assert BLOCK % 64 == 0
