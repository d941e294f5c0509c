# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from coterie_common.learning.agreement import plan_job
from coterie_common.learning.evaluation import embed_model
from coterie_common.learning.model import Model
from coterie_common.protocol.job_spec import JobSpec
from tests.support.examples import load_job, nursery_schema
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
