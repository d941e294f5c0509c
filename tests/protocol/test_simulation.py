# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A simulated job is the job of a federation, minus what hides the replies."""

from __future__ import annotations

from decimal import Decimal

from coterie.simulation.job import Simulation
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.model import Model
from coterie_common.protocol.progress import JobState
from coterie_common.randomness import OsRandom
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import play_dataset, play_schema, statistics_spec, tree_spec, write_play


@asynchronous
async def test_simulated_model_without_noise_is_the_one_that_coordinators_make(tmp_path):
    federation = make_federation()
    paths = write_play(tmp_path, federation.parties)
    spec = tree_spec(privacy={"placement": "none"})
    policy = generous_policy(jobs_without_noise=(spec.digest.hex(),))
    async with InProcessFederation(federation, tmp_path, paths, policy=policy) as running:
        job_id = await running.submit(spec)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        real = Model.from_bytes(running.model(federation.parties[0], job_id))
    datasets = [load_dataset(path, play_schema()) for path in paths.values()]
    simulated = Simulation(spec, federation.parameters).run(datasets, OsRandom())
    assert simulated.body == real.body
    assert (simulated.name, simulated.schema) == (real.name, real.schema)
    for entry in ("contributors", "rounds", "job_spec_digest", "epsilon", "delta", "placement"):
        assert getattr(simulated.lineage, entry) == getattr(real.lineage, entry)


@asynchronous
async def test_simulated_noise_is_as_wide_as_the_coordinators_say(tmp_path):
    federation = make_federation()
    paths = write_play(tmp_path, federation.parties, count=48)
    # With a spare round a real round counts on all five, as a simulated one does.
    spec = statistics_spec(privacy={"epsilon": Decimal(1)}, spare_rounds=1)
    async with InProcessFederation(federation, tmp_path, paths) as running:
        job_id = await running.submit(spec)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        real = Model.from_bytes(running.model(federation.parties[0], job_id))
    simulated = Simulation(spec, federation.parameters).run([play_dataset(48)] * 5, OsRandom())
    assert simulated.body["noise_stddev"] == real.body["noise_stddev"] > 0
