# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, MissingLibrary
from coterie_common.learning.algorithm import Algorithm, Ask, algorithm_names, check_round, get_algorithm
from coterie_common.learning.algorithms.decision_tree import DecisionTree
from coterie_common.learning.plan import Plan, PlannedCountRound, PlannedVectorRound
from coterie_common.privacy.noise.mechanisms import Unit

PLAN = Plan(
    Unit.RECORD,
    (PlannedCountRound(length=4, lower=0, upper=10, l0=2, linf=1), PlannedVectorRound(length=4, clip_norm=Fraction(1))),
)


@pytest.mark.parametrize("name", ["decision_tree", "evaluation", "linear_svm", "statistics"])
def test_get_algorithm_of_built_in_name_returns_algorithm(name):
    algorithm = get_algorithm(name)
    assert isinstance(algorithm, Algorithm)
    assert algorithm.name == name
    assert name in algorithm_names()


def test_get_algorithm_of_unknown_name_raises_invalid_job_listing_the_known():
    with pytest.raises(InvalidJob, match="installed are decision_tree, evaluation, ") as caught:
        get_algorithm("k-means")
    assert caught.value.code == "invalid-job"


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install a package that registers algorithms."""
    (tmp_path / "their_algorithms.py").write_text(
        "from coterie_common.learning.algorithms.decision_tree import DecisionTree\n"
        "class Mine(DecisionTree):\n    name = 'mine'\n"
        "class Incomplete:\n    name = 'incomplete'\n"
    )
    information = tmp_path / "their_algorithms-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-algorithms\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[coterie.algorithms]\n"
        "mine = their_algorithms:Mine\n"
        "decision_tree = their_algorithms:Mine\n"
        "incomplete = their_algorithms:Incomplete\n"
        "absent = no_such_package:Algorithm\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_get_algorithm_of_registered_name_returns_it(registered):
    assert get_algorithm("mine").name == "mine"
    assert "mine" in algorithm_names()


def test_get_algorithm_never_lets_a_registered_one_replace_a_built_in_one(registered):
    assert type(get_algorithm("decision_tree")) is DecisionTree


def test_get_algorithm_of_unusable_registration_raises_configuration_error(registered):
    with pytest.raises(ConfigurationError, match="lacks a method") as caught:
        get_algorithm("incomplete")
    assert caught.value.code == "configuration"


def test_get_algorithm_that_imports_what_is_missing_raises_missing_library(registered):
    with pytest.raises(MissingLibrary, match="cannot load the algorithm 'absent': No module named") as caught:
        get_algorithm("absent")
    assert caught.value.code == "missing-library"


@pytest.mark.parametrize("body", [None, [], {}, {"length": "3"}, {"length": True}, {"length": 0}, {"length": 2.0}])
def test_ask_without_length_raises_malformed_message(body):
    with pytest.raises(MalformedMessage) as caught:
        Ask(1, body)
    assert caught.value.code == "malformed-message"


def test_check_round_of_ask_within_plan_returns_planned_round():
    assert check_round(Ask(1, {"length": 4}), PLAN) is PLAN.rounds[0]


@pytest.mark.parametrize(("number", "length"), [(0, 4), (3, 4), (1, 5), (2, 5), (2, 3)])
def test_check_round_of_ask_outside_plan_raises_malformed_message(number, length):
    with pytest.raises(MalformedMessage):
        check_round(Ask(number, {"length": length}), PLAN)


def test_check_round_of_vectors_returns_planned_round():
    assert check_round(Ask(2, {"length": 4}), PLAN) is PLAN.rounds[1]


def test_ask_from_its_bytes_has_the_same_body():
    weights = np.array([0.5, -1.0], np.float32)
    ask = Ask(3, {"length": 2, "weights": weights, "step": 0.1})
    again = Ask.from_bytes(3, ask.to_bytes(), maximum=1000)
    assert again.round_number == 3
    assert again.body.keys() == ask.body.keys()
    assert again.body["step"] == 0.1
    assert again.arrays.keys() == {"weights"}
    assert np.array_equal(again.arrays["weights"], weights)


def test_ask_without_arrays_has_none_and_is_plain_json():
    assert Ask(1, {"length": 2}).arrays == {}
    assert Ask(1, {"length": 2}).to_bytes() == b'{"length":2}'


def test_ask_that_was_parsed_is_passed_on_without_a_copy():
    data = Ask(3, {"length": 2, "weights": np.arange(4, dtype=np.float32)}).to_bytes()
    assert Ask.from_bytes(3, data, maximum=1000).to_bytes() is data


def test_ask_from_too_many_bytes_raises_malformed_message():
    with pytest.raises(MalformedMessage):
        Ask.from_bytes(1, Ask(1, {"length": 2}).to_bytes(), maximum=5)
