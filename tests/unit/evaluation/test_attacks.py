# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The attacks' own arithmetic: an attack that is broken would look like privacy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from coterie_lab.evaluation.attacks.audit import epsilon_at_least, guesses
from coterie_lab.evaluation.attacks.eavesdropping import View, infer_property, invert_gradients
from coterie_lab.evaluation.attacks.membership import auc, roc, scores, simulation, train

RANDOM = np.random.Generator(np.random.PCG64(5))
COINS = RANDOM.random(4000) < 0.5


def test_auc_is_that_of_scikit_learn():
    score = COINS + RANDOM.normal(size=4000)
    assert auc(COINS, score) == pytest.approx(roc_auc_score(COINS, score))
    false, true = roc(COINS, score)
    assert np.trapezoid(true, false) == pytest.approx(roc_auc_score(COINS, score), abs=0.01)


def randomised_response(epsilon: float, people: int = 4000) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Scores of the best attacker on a mechanism that is exactly ε-private: it tells each coin with a fair chance."""
    is_true = RANDOM.random(people) < math.exp(epsilon) / (1 + math.exp(epsilon))
    members = RANDOM.random(people) < 0.5
    return members, np.where(is_true, members, ~members) + 0.001 * RANDOM.random(people)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_bound_of_randomised_response_comes_close_to_its_epsilon_and_not_above(epsilon):
    bound = epsilon_at_least([randomised_response(epsilon) for _ in range(5)], 0.0)
    assert 0.8 * epsilon < bound <= epsilon


def test_bound_of_guesses_at_nothing_is_zero():
    assert epsilon_at_least([(COINS, RANDOM.random(4000))], 0.0) == 0


def test_bound_allows_for_delta():
    target = randomised_response(1.0)
    assert epsilon_at_least([target], 1e-6) < epsilon_at_least([target], 0.0)
    assert epsilon_at_least([target], 1e-2) == 0


def test_guesses_are_about_the_ends_of_the_scores():
    members = np.array([True, False, True, False])
    assert guesses(members, np.array([4.0, 1.0, 3.0, 2.0]), 0.5) == (4, 4)
    assert guesses(members, np.array([1.0, 4.0, 3.0, 2.0]), 0.25) == (2, 0)


@pytest.mark.slow  # trains models
def test_attacks_on_a_model_without_noise_find_its_members():
    agreed = simulation(None)
    trained = [train(agreed, seed) for seed in range(4)]
    found = {
        attack: auc(trained[0].members, scores(attack, trained[0], trained[1:])) for attack in ("loss", "releases")
    }
    assert found["loss"] > 0.55
    assert found["releases"] > 0.95


@pytest.mark.slow  # dozens of rounds
def test_plain_replies_are_read_and_sums_are_not():
    inverted = {leak.view: leak.success for leak in invert_gradients(1, 5)}
    assert inverted[View.PLAIN] > 0.99
    assert inverted[View.RELEASED] < 0.3
    inferred = {leak.view: leak.success for leak in infer_property(60)}
    assert inferred[View.PLAIN] > 0.9
    assert inferred[View.RELEASED] < 0.8
