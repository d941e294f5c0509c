# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole jobs that evaluate a model: every kind of classifier, from the job's submission to the released matrix."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from coterie.simulation.job import Simulation
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, play_dataset, rows_of, write_play

LINEAR: dict[str, Any] = {"rounds": 3, "records": 200, "clip_norm": Decimal(1), "learning_rate": Decimal("0.5")}
CONFIGS: dict[str, dict[str, Any]] = {
    "decision_tree": {"max_depth": 2},
    "linear_svm": LINEAR | {"scaling": "statistics"},
    "logistic_regression": LINEAR,
    "network": {"network": "mlp", "rounds": 3, "records": 200},
}


@pytest.mark.slow  # the mlp takes loading torch
@pytest.mark.parametrize("algorithm", CONFIGS)
@asynchronous
async def test_evaluation_of_a_model_releases_its_confusion_matrix(tmp_path, algorithm):
    trained = Simulation.without_privacy(make_spec(algorithm, CONFIGS[algorithm]))
    model = trained.run([play_dataset(200)], SeededRandom(algorithm))
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    policy = generous_policy(algorithms=("evaluation", algorithm), networks=("mlp",))
    running = InProcessFederation(federation, tmp_path, datasets, policy=policy, set_aside=Decimal(1))
    async with running:
        job_id = await running.submit(make_spec("evaluation", {"model": model.to_document()}, name="evaluation"))
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        body = Model.from_bytes(await running.aggregator.model(job_id)).body
        assert running.errors == []
    rows = [row for index in range(3) for row in rows_of(index)]
    exact = confusion_matrix([row["play"] for row in rows], load_predictor(model).predict(rows), labels=["no", "yes"])
    assert body["model"] == model.digest.hex()
    assert 0 < body["noise_stddev"] < 10
    assert np.abs(np.array(body["confusion"]) - exact).max() < 6 * body["noise_stddev"]
    assert body["accuracy"] == pytest.approx(Fraction(int(exact.trace()), len(rows)), abs=0.1)
