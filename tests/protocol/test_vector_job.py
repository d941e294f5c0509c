# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole jobs whose rounds are sums of real vectors: sampled, clipped, noised, sealed directly or under a pad."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie_common.learning.algorithm import Ask
from coterie_common.learning.model import Model, load_predictor
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Query
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.terms import SealingKind
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import make_spec, rows_of, write_play

LINEAR = ("logistic_regression", "linear_svm", "linear_regression", "network", "federated_averaging")


def logistic_spec(rounds: int = 8, **options: Any) -> JobSpec:
    config = {
        "rounds": rounds,
        "records": 490,
        "clip_norm": Decimal(1),
        "learning_rate": Decimal("0.5"),
        "held_out": True,
    }
    return make_spec("logistic_regression", config, **options)


@pytest.mark.slow  # a process per party imports numpy
@asynchronous
async def test_logistic_regression_learns_and_everybody_gets_the_same_model(tmp_path: Path) -> None:
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    policy = generous_policy(algorithms=LINEAR)
    async with InProcessFederation(federation, tmp_path, datasets, policy=policy, set_aside=Decimal("0.2")) as running:
        job_id = await running.submit(logistic_spec())
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        files = {running.model(party_id, job_id) for party_id in running.parties}
        assert files == {await running.aggregator.model(job_id)}
        assert running.errors == []
        queries = {m.fields.round_number: m for _, m in running.passed if isinstance(m, Query)}
        assert len(queries) == 9
        assert {query.fields.terms.sealing for query in queries.values()} == {SealingKind.DIRECT}
        path = tmp_path / "model.json"
        path.write_bytes(files.pop())
    rows = rows_of(1)
    right = np.mean(np.asarray(load_predictor(path).predict(rows)) == [row["play"] for row in rows])
    # clouds, or sun with little wind: what a line can say of it, 5 of 6
    assert right > 0.75
    figures = Model.from_bytes(path.read_bytes()).body["held_out"]
    # about a fifth of 490 records, and noise
    assert 40 < figures["records"] < 160
