# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import Ask, Release
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.evaluation import Evaluation, embed_model
from coterie_common.learning.model import Model
from coterie_common.learning.plan import Records
from coterie_common.learning.predictor import load_predictor
from tests.support.models import SCHEMA, make_lineage, make_model
from tests.support.present import present
from tests.support.seeded_random import SeededRandom

EVALUATION = Evaluation()
MODEL = make_model()
CONFIG = EVALUATION.parse_config({"model": MODEL.to_document()})
PLAN = EVALUATION.plan(CONFIG, SCHEMA)
ASK = present(EVALUATION.next_ask(EVALUATION.initial_state(CONFIG, SCHEMA)))
RANDOM = SeededRandom("unused")


def make_dataset(rows: int = 80) -> Dataset:
    draw = np.random.default_rng(7)
    columns: dict[str, NDArray[Any]] = {
        "outlook": draw.integers(0, 2, rows).astype(np.int32),
        "humidity": draw.uniform(0, 100, rows),
        "play": draw.integers(0, 2, rows).astype(np.int32),
    }
    return Dataset(SCHEMA, columns, rows)


def figures_of(values: ArrayLike, noise_stddev: float = 0.0) -> Mapping[str, Any]:
    state = EVALUATION.initial_state(CONFIG, SCHEMA)
    return EVALUATION.finish(EVALUATION.update(state, ASK, Release(np.asarray(values, float), 1, noise_stddev)))


def test_evaluation_is_asked_about_records_set_aside():
    assert EVALUATION.records is Records.SET_ASIDE


def test_plan_lets_a_record_touch_one_value():
    (planned,) = PLAN.rounds
    assert (planned.length, planned.lower, planned.upper, planned.l0, planned.linf) == (4, 0, 100, 1, 1)


def test_evaluation_without_noise_gives_the_figures_of_scikit_learn():
    dataset = make_dataset()
    EVALUATION.check_ask(CONFIG, SCHEMA, ASK, PLAN)
    values = EVALUATION.answer(ASK, dataset, RANDOM)
    rows = [
        {"outlook": ["sunny", "rain"][outlook], "humidity": humidity}
        for outlook, humidity in zip(dataset.columns["outlook"], dataset.columns["humidity"], strict=True)
    ]
    true, predicted = np.array(["no", "yes"])[dataset.columns["play"]], load_predictor(MODEL).predict(rows)
    assert values.reshape(2, 2).tolist() == confusion_matrix(true, predicted).tolist()
    body = figures_of(values)
    assert body["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert body["f1_macro"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert body["f1_weighted"] == pytest.approx(f1_score(true, predicted, average="weighted"))
    assert body["records"] == 80
    assert body["model"] == MODEL.digest.hex()


def test_answer_changes_one_value_by_one_per_record():
    dataset = make_dataset(12)
    for row in range(12):
        without = dataset.select(np.arange(12) != row)
        change = EVALUATION.answer(ASK, dataset, RANDOM) - EVALUATION.answer(ASK, without, RANDOM)
        assert sorted(change.tolist()) == [0, 0, 0, 1]


def test_figures_of_class_drowned_in_noise_are_left_out_of_the_macro_average():
    body = figures_of([1.0, -2.0, 3.0, 96.0], noise_stddev=5.0)
    assert body["f1"]["no"] is None
    assert body["f1_macro"] == body["f1"]["yes"]


@pytest.mark.parametrize(
    ("values", "noise_stddev"), [([0, 0, 0, 0], 0.0), ([4, 0, 0, 5], 0.0), ([-3, 1, 2, 1], 2.0), ([40, 1, 2, 40], 9.0)]
)
def test_figures_of_too_few_records_beside_the_noise_are_none_and_say_so(values, noise_stddev):
    body = figures_of(values, noise_stddev)
    assert body["too_few_records"]
    assert body["records"] == sum(values)
    assert (body["accuracy"], body["base_rate"], body["f1_weighted"], body["f1_macro"]) == (None,) * 4
    assert set(body["f1"].values()) == {None}


def test_figures_hold_what_the_most_frequent_class_would_reach():
    body = figures_of([30, 10, 5, 15])
    assert (body["too_few_records"], body["accuracy"], body["base_rate"]) == (False, 45 / 60, 40 / 60)


def test_plan_of_other_columns_than_the_models_raises_invalid_job():
    other = parse_schema({**SCHEMA.to_document(), "columns": SCHEMA.to_document()["columns"][1:]})
    with pytest.raises(InvalidJob, match="columns of the model"):
        EVALUATION.plan(CONFIG, other)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "one entry, model"),
        ({"model": "tennis.json"}, "content of a model file"),
        ({"model": {}}, "model: model:"),
        ({"model": {**MODEL.to_document(), "algorithm": "oracle"}}, "no algorithm 'oracle'"),
        ({"model": {**MODEL.to_document(), "algorithm": "statistics"}}, "predicts nothing"),
        ({"model": {**MODEL.to_document(), "body": {}}}, "counts and tree"),
    ],
)
def test_parse_config_of_wrong_model_raises_invalid_job(table, words):
    with pytest.raises(InvalidJob, match=words) as caught:
        EVALUATION.parse_config(table)
    assert caught.value.code == "invalid-job"


def test_check_ask_of_another_model_raises_malformed_message():
    other = {**MODEL.to_document(), "name": "other"}
    with pytest.raises(MalformedMessage) as caught:
        EVALUATION.check_ask(CONFIG, SCHEMA, Ask(1, {**ASK.body, "model": other}), PLAN)
    assert caught.value.code == "malformed-message"


def test_embed_model_puts_the_files_content_into_the_configuration(tmp_path):
    (tmp_path / "tennis.json").write_bytes(MODEL.to_bytes())
    assert EVALUATION.parse_config(embed_model({"model": "tennis.json"}, tmp_path)) == CONFIG
    assert embed_model({"model": MODEL.to_document()}, tmp_path) == {"model": MODEL.to_document()}


def test_embed_model_of_missing_file_raises_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"tennis\.json does not exist"):
        embed_model({"model": "tennis.json"}, tmp_path)


def test_state_from_its_stored_document_is_equal():
    state = EVALUATION.initial_state(CONFIG, SCHEMA)
    for current in (state, EVALUATION.update(state, ASK, Release(np.arange(4.0), 3, 1.5))):
        stored = json.loads(json.dumps(EVALUATION.state_to_document(current)))
        assert EVALUATION.state_from_document(CONFIG, SCHEMA, stored) == current


@pytest.mark.parametrize("value", [None, {}, {"values": [1.0], "noise_stddev": 0.0}])
def test_state_from_damaged_document_raises_storage_error(value):
    with pytest.raises(StorageError) as caught:
        EVALUATION.state_from_document(CONFIG, SCHEMA, value)
    assert caught.value.code == "storage"


def test_finish_before_the_round_raises_state_error():
    with pytest.raises(StateError):
        EVALUATION.finish(EVALUATION.initial_state(CONFIG, SCHEMA))


def test_update_of_release_of_other_length_raises_state_error():
    with pytest.raises(StateError):
        EVALUATION.update(EVALUATION.initial_state(CONFIG, SCHEMA), ASK, Release(np.zeros(3), 1, 0.0))


def test_evaluation_of_a_network_that_is_not_built_in_raises_invalid_job():
    body = {"network": "theirs", "weights": np.zeros(3, np.float32)}
    model = Model(name="m", algorithm="network", schema=SCHEMA, body=body, lineage=make_lineage())
    with pytest.raises(InvalidJob, match="held_out") as caught:
        EVALUATION.parse_config({"model": model.to_document()})
    assert caught.value.code == "invalid-job"
