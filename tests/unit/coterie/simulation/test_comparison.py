# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, r2_score

from coterie.simulation.comparison import Contest, Division
from coterie.simulation.method import Method
from coterie.simulation.scores import class_scores, mean_of, scores_of, stddev_of
from coterie_common.learning.algorithm import get_algorithm
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.protocol.parameters import choose_parameters
from tests.support.small_jobs import play_dataset, tree_spec

PARAMETERS = choose_parameters(4)
DIVISION = Division.of(play_dataset(400), 4, Fraction(1, 4), 7)


def test_division_of_a_seed_is_the_same_each_time_and_another_for_another_seed():
    again, other = (Division.of(play_dataset(400), 4, Fraction(1, 4), seed) for seed in (7, 8))
    temperatures = [each.tested.columns["temperature"].tolist() for each in (DIVISION, again, other)]
    assert temperatures[0] == temperatures[1] != temperatures[2]
    assert [party.rows for party in DIVISION.parties] == [75] * 4


def test_class_scores_are_those_of_scikit_learn():
    truth = DIVISION.tested.cells("play")
    predicted = np.where(np.arange(len(truth)) % 3 == 0, 1 - truth, truth)
    found = class_scores(predicted, DIVISION.tested)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    for average in ("weighted", "macro"):
        assert found[f"f1_{average}"] == pytest.approx(f1_score(truth, predicted, average=average))


def test_guesses_know_only_how_many_records_each_class_has():
    truth = DIVISION.tested.cells("play")
    majority = Contest(Method.MAJORITY, tree_spec(), PARAMETERS).score(DIVISION)
    assert majority["accuracy"] == pytest.approx(max(np.bincount(truth)) / len(truth))
    uniform = Contest(Method.UNIFORM, tree_spec(), PARAMETERS).score(DIVISION)
    # 100 fair coins: five standard deviations
    assert abs(uniform["accuracy"] - 0.5) < 0.25


@pytest.mark.parametrize("rows", [9, 10])
def test_class_scores_of_too_few_records_are_no_numbers(rows):
    tested = DIVISION.tested.select(np.arange(100) < rows)
    found = class_scores(tested.cells("play"), tested)
    assert [math.isnan(figure) for figure in found.values()] == [rows < 10] * 3


def test_mean_predicts_the_training_records_mean_and_knows_no_feature():
    schema = parse_schema(
        {
            "label": "price",
            "max_records": 500,
            "columns": [{"name": "size", "lower": 0, "upper": 1}, {"name": "price", "lower": 0, "upper": 100}],
        }
    )
    draw = np.random.default_rng(5)
    sizes = draw.uniform(0, 1, 400)
    dataset = Dataset(schema, {"size": sizes, "price": 100 * sizes}, 400)
    division = Division.of(dataset, 4, Fraction(1, 4), 7)
    # which job it is does not matter to a guess
    found = Contest(Method.MEAN, tree_spec(), PARAMETERS).score(division)
    training = np.concatenate([party.columns["price"] for party in division.parties])
    truth = division.tested.columns["price"]
    assert found["mean_absolute_error"] == pytest.approx(np.abs(truth - training.mean()).mean())
    assert found["r_squared"] == pytest.approx(r2_score(truth, np.full(len(truth), training.mean())))


def test_methods_of_an_algorithm_are_those_that_there_are_for_it():
    assert Method.MAJORITY in Method.of(get_algorithm("decision_tree"))
    assert Method.MEAN in Method.of(get_algorithm("linear_regression"))
    assert not {Method.MAJORITY, Method.UNIFORM} & set(Method.of(get_algorithm("linear_regression")))
    assert not {Method.MAJORITY, Method.UNIFORM, Method.MEAN} & set(Method.of(get_algorithm("statistics")))


def test_exact_methods_learn_the_rule_of_the_data():
    for method in (Method.NONE, Method.ALONE):
        assert Contest(method, tree_spec(), PARAMETERS).score(DIVISION)["accuracy"] == 1


def test_alone_trains_one_model_per_party():
    contest = Contest(Method.ALONE, tree_spec(), PARAMETERS)
    assert [model.lineage.contributors[0] for model in contest.models(DIVISION)] == [1] * 4


def test_noisy_methods_say_their_noise():
    noise = {method: Contest(method, tree_spec(), PARAMETERS).noise_stddev for method in Method if method.is_noisy}
    assert noise[Method.LOCAL][0] > noise[Method.WORST_CASE][0] > noise[Method.DISTRIBUTED][0]
    assert noise[Method.DISTRIBUTED][0] > noise[Method.CURATOR][0] > 0


def test_both_ways_to_divide_the_noise_draw_from_the_same_randomness():
    ways = Method.DISTRIBUTED, Method.WORST_CASE
    # Of four parties two may collude: all must answer, so there is nothing but the randomness to tell them apart.
    for bound, is_same in ((2, True), (1, False)):
        parameters = choose_parameters(4, corruption_bound=bound)
        present, worst = (next(Contest(way, tree_spec(), parameters).models(DIVISION)) for way in ways)
        assert (present == worst) == is_same


def test_mean_and_stddev_of_scores():
    scores = [{"accuracy": 0.5}, {"accuracy": 0.7}]
    assert mean_of(scores) == {"accuracy": pytest.approx(0.6)}
    assert stddev_of(scores) == {"accuracy": pytest.approx(np.sqrt(0.02))}
    assert stddev_of(scores[:1]) == {"accuracy": 0}


def test_scores_of_the_model_of_a_contest_are_those_of_the_contest():
    contest = Contest(Method.CURATOR, tree_spec(), PARAMETERS)
    (model,) = contest.models(DIVISION)
    assert scores_of(model, DIVISION.tested) == contest.score(DIVISION)
