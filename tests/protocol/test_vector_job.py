# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole jobs whose rounds are sums of real vectors: sampled, clipped, noised, sealed directly or under a pad."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from coterie_common.learning.agreement import plan_job
from coterie_common.learning.algorithm import Ask, Release, VectorAlgorithm
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from coterie_common.privacy.vectors import clip
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import PaddedPart, Query
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.terms import SealingKind
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import make_spec, rows_of, wide_spec, write_play, write_wide

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
async def test_logistic_regression_learns_and_everybody_gets_the_same_model(tmp_path):
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


@pytest.mark.slow  # a process per party imports numpy
@asynchronous
async def test_long_vectors_are_padded_and_open_to_the_sum_of_what_was_covered(tmp_path):
    federation = make_federation()
    datasets = write_wide(tmp_path, federation.parties)
    async with InProcessFederation(
        federation, tmp_path, datasets, dataset_name="wide", policy=generous_policy(algorithms=LINEAR)
    ) as running:
        job_id = await running.submit(wide_spec())
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        queries = [m for _, m in running.passed if isinstance(m, Query)]
        assert {query.fields.terms.sealing for query in queries} == {SealingKind.PADDED}
        length = queries[0].fields.terms.encoding.length
        assert length > 1400
        parts = [m for _, m in running.passed if isinstance(m, PaddedPart)]
        assert {part.size for part in parts} == {4 * length}
        assert len(parts) == 4 * len(federation.parties)
        assert running.errors == []


@asynchronous
async def test_sum_that_is_opened_is_that_of_the_sealed_vectors(tmp_path):
    """Without noise, clipping apart, the sum of all gradients: what one process computes from all records."""
    federation = make_federation()
    datasets = write_wide(tmp_path, federation.parties)
    spec = wide_spec(1, privacy={"placement": "none"}, optimiser="sgd", momentum=0)
    policy = generous_policy(algorithms=LINEAR, jobs_without_noise=(spec.digest.hex(),))
    async with InProcessFederation(federation, tmp_path, datasets, dataset_name="wide", policy=policy) as running:
        job_id = await running.submit(spec)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        (query,) = {m.fields.session_id: m for _, m in running.passed if isinstance(m, Query)}.values()
        model = Model.from_bytes(running.model(federation.parties[0], job_id))
    planned = plan_job(spec)
    ask = Ask.from_bytes(1, query.body, maximum=1 << 20)
    total = np.zeros(ask.length)
    for path in datasets.values():
        assert isinstance(planned.algorithm, VectorAlgorithm)
        for rows in planned.algorithm.vectors(ask, load_dataset(path, planned.schema)):
            total += clip(rows, Fraction(1)).sum(axis=0)
    state = planned.algorithm.initial_state(planned.config, planned.schema)
    expected = planned.algorithm.finish(planned.algorithm.update(state, ask, Release(total, 5, 0.0)))
    compared = [name for name, value in model.body.items() if isinstance(value, np.ndarray)]
    assert max(float(np.abs(model.body[name]).max()) for name in compared) > 0.01
    for name in compared:
        # rounding and the pad's errors: some 10^-4 of a sum over 490 records
        np.testing.assert_allclose(model.body[name], expected[name], atol=1e-5)


@pytest.mark.slow  # a process per party imports torch
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("algorithm", "config", "unit"),
    [
        ("network", {"records": 490, "batch": 200}, "record"),
        ("federated_averaging", {"epochs": 2}, "party"),
    ],
)
@asynchronous
async def test_networks_train_in_processes_of_their_own(tmp_path, algorithm, config, unit):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    spec = make_spec(
        algorithm, {"network": "mlp", "rounds": 2, **config}, privacy={"unit": unit}, deadline_s=200, timeout_s=400
    )
    policy = generous_policy(algorithms=LINEAR)
    async with InProcessFederation(federation, tmp_path, datasets, policy=policy) as running:
        job_id = await running.submit(spec)
        status = await running.result(job_id, 250)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        model = Model.from_bytes(running.model(federation.parties[0], job_id))
    assert model.suffix == ".safetensors"
    assert model.lineage.unit == unit
    assert set(load_predictor(model).predict(rows_of(1))) <= {"no", "yes"}
