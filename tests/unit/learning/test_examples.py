# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest

from coterie_common.learning.agreement import plan_job
from coterie_common.learning.algorithm import get_algorithm
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.evaluation import embed_model
from coterie_common.learning.model import Model
from coterie_common.protocol.job_spec import JobSpec
from tests.support.examples import EXAMPLES, load_job, nursery_schema
from tests.support.heart import heart_schema, load_hospitals
from tests.support.models import make_lineage


def test_example_of_a_tree_job_plans_three_rounds():
    planned = plan_job(JobSpec.from_bytes(JobSpec.from_table(load_job("nursery-tree.toml")).to_bytes()))
    assert [planned_round.l0 for planned_round in planned.plan.rounds] == [8, 7, 6]


def test_example_of_an_evaluation_job_plans_one_round_once_its_model_is_there(tmp_path):
    body = {"tree": [None], "counts": [[4, 0, 0, 3, 3]]}
    model = Model(
        name="nursery-tree", algorithm="decision_tree", schema=nursery_schema(), body=body, lineage=make_lineage()
    )
    (tmp_path / "nursery-tree.json").write_bytes(model.to_bytes())
    table = load_job("nursery-evaluation.toml")
    table["config"] = embed_model(table["config"], tmp_path)
    planned = plan_job(JobSpec.from_bytes(JobSpec.from_table(table).to_bytes()))
    assert planned.config.model == model
    assert [planned_round.length for planned_round in planned.plan.rounds] == [25]


@pytest.mark.parametrize(
    ("name", "rounds", "length"),
    [("heart-logistic.toml", 41, 35), ("heart-svm.toml", 41, 35), ("mnist-cnn.toml", 100, 26_010)],
)
def test_example_of_a_vector_job_plans_its_rounds(name, rounds, length):
    spec = JobSpec.from_bytes(JobSpec.from_table(load_job(name)).to_bytes())
    algorithm = get_algorithm(spec.algorithm)
    plan = algorithm.plan(algorithm.parse_config(spec.config), parse_schema(spec.schema))
    assert plan.unit is spec.privacy.unit
    assert len(plan.rounds) == rounds
    assert plan.rounds[0].length == length


def test_examples_of_heart_disease_describe_the_same_data():
    assert load_job("heart-svm.toml")["schema"] == load_job("heart-logistic.toml")["schema"]


def test_heart_disease_data_fit_their_schema():
    dataset = load_dataset(EXAMPLES / "data" / "heart_disease.csv", heart_schema())
    assert dataset.rows == 920
    assert np.bincount(dataset.cells("disease")).tolist() == [411, 509]
    assert sum(hospital.rows for hospital in load_hospitals()) == 920
    # what the hospitals did not write down stands for what the schema says
    assert np.count_nonzero(dataset.columns["chol"] == 240) >= 202
