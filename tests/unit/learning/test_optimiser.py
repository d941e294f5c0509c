# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from coterie_common.errors import StorageError
from coterie_common.learning.algorithms.optimiser import Optimiser, OptimiserState, Rule, step

SGD = Rule(optimiser=Optimiser.SGD, learning_rate=0.1, momentum=0.5, decay=False, steps=10)
ADAM = replace(SGD, optimiser=Optimiser.ADAM, momentum=0.9)
START = np.array([1.0, -2.0], np.float32)


def descend(
    rule: Rule, gradients: ArrayLike, parameters: NDArray[np.float32] = START
) -> tuple[NDArray[np.float32], OptimiserState]:
    state = OptimiserState()
    for gradient in np.asarray(gradients, np.float64):
        parameters, state = step(rule, state, parameters, gradient)
    return parameters, state


def test_sgd_with_momentum_makes_the_steps_of_the_heavy_ball():
    parameters, state = descend(SGD, [[1, 0], [1, 2]])
    # velocities 1, 1.5 and 0, 2
    np.testing.assert_allclose(parameters, [1 - 0.1 - 0.15, -2 - 0.2], rtol=1e-6)
    assert state.steps == 2
    assert parameters.dtype == np.float32


def test_adam_makes_the_steps_of_the_article():
    gradients = [np.array([0.5, -3.0]), np.array([0.1, 1.0]), np.array([-2.0, 0.0])]
    expected, first, second = START.astype(float), np.zeros(2), np.zeros(2)
    for number, gradient in enumerate(gradients, 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        expected = expected - 0.1 * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
    np.testing.assert_allclose(descend(ADAM, gradients)[0], expected, rtol=1e-5)


def test_first_step_of_adam_has_the_size_of_the_learning_rate_whatever_the_gradient():
    np.testing.assert_allclose(descend(ADAM, [[1e-3, -1e3]])[0], [0.9, -1.9], rtol=1e-4)


def test_decay_makes_the_last_step_the_smallest():
    rule = replace(SGD, momentum=0.0, decay=True, steps=4)
    parameters = START
    state, sizes = OptimiserState(), []
    for _ in range(4):
        changed, state = step(rule, state, parameters, np.array([1.0, 0.0]))
        sizes.append(float(parameters[0] - changed[0]))
        parameters = changed
    np.testing.assert_allclose(sizes, [0.1, 0.075, 0.05, 0.025], rtol=1e-5)


@pytest.mark.parametrize("rule", [SGD, ADAM])
def test_long_vector_is_stepped_piece_by_piece_as_each_of_its_values_would_be(rule):
    length, few = (1 << 18) + 5, [0, 7, (1 << 18) - 1, 1 << 18, (1 << 18) + 4]
    gradients = np.random.Generator(np.random.PCG64(1)).normal(size=(3, length))
    start = np.linspace(-1, 1, length, dtype=np.float32)
    whole, state = descend(rule, gradients, start)
    parts, state_of_parts = descend(rule, gradients[:, few], start[few])
    assert whole[few].tolist() == parts.tolist()
    for name, moment in state.moments.items():
        assert moment[few].tolist() == state_of_parts.moments[name].tolist()


@pytest.mark.parametrize("rule", [SGD, ADAM])
def test_state_from_its_document_goes_on_as_before(rule):
    parameters, state = descend(rule, [[1, 2], [3, 4]])
    again = OptimiserState.from_document(state.to_document(), rule, 2)
    gradient = np.array([0.3, -0.3])
    assert np.array_equal(step(rule, again, parameters, gradient)[0], step(rule, state, parameters, gradient)[0])


def test_state_before_the_first_step_from_its_document_has_no_moments():
    assert OptimiserState.from_document(OptimiserState().to_document(), ADAM, 2).moments == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"steps": 1},
        {"steps": "1", "first": START, "second": START},
        {"steps": 1, "first": START},
        {"steps": 0, "first": START, "second": START},
        {"steps": 1, "first": START, "second": START[:1]},
        {"steps": 1, "first": [1.0, 2.0], "second": START},
    ],
)
def test_state_from_wrong_document_raises_storage_error(wrong):
    with pytest.raises(StorageError) as caught:
        OptimiserState.from_document(wrong, ADAM, 2)
    assert caught.value.code == "storage"
