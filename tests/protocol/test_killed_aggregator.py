# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator killed at every one of its writes: started again, it finishes the job with the same sums."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from coterie_common.learning.model import Model
from coterie_common.protocol.messages import DecryptionRequest, ModelDelivery, Query
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.oracle import sum_of_replies
from tests.support.small_jobs import make_spec, tree_spec, write_play

SPEC = make_spec("statistics", {"histograms": ["outlook", "play"]})

WRITES = [
    "add_job",
    *["append_job_event"] * 3,  # three parties accept
    "start_round",
    *["put_contribution", "append_round_event"] * 3,
    *["append_round_event"] * 3,  # three replies are verified
    *["put_partial", "append_round_event"] * 3,
    *["append_round_event"] * 3,  # three partial decryptions are verified
    "finish",
    *["append_job_event"] * 3,  # three parties have the model
    "delete_job",
]
"""Everything that the aggregator makes durable in a job of one round, up to the order within the round."""


def assert_one_query_and_one_transcript_per_round(running: InProcessFederation) -> None:
    for kind in (Query, DecryptionRequest):
        said = [m for _, m in running.passed if isinstance(m, kind)]
        assert len({m.signature for m in said}) == len({(m.fields.job_id, m.fields.round_number) for m in said})


def in_spool(running: InProcessFederation) -> list[Path]:
    return list((running.folder / "spool").glob("*/*"))


@asynchronous
async def test_writes_of_the_aggregator_are_those_at_which_it_is_killed_below(tmp_path):
    federation = make_federation(3, 3)
    crash = Crash("delete_job", after=True)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        await running.submit(SPEC)
        await crash.reached.wait()
    assert sorted(crash.writes) == sorted(WRITES)


@pytest.mark.parametrize("nth", range(2, len(WRITES) + 1))
@asynchronous
async def test_aggregator_killed_before_a_write_finishes_the_job_when_it_is_back(tmp_path, nth):
    # Before a write is after the one before it: between them nothing becomes durable.
    federation = make_federation(3, 3)
    crash = Crash(nth=nth)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        models = {running.model(party_id, job_id) for party_id in federation.parties}
        assert models == {await running.aggregator.model(job_id)}
        body = Model.from_bytes(models.pop()).body
        released = [body["count"], *body["histograms"]["outlook"]["counts"], *body["histograms"]["play"]["counts"]]
        assert released == sum_of_replies(federation, running.passed, 1)
        assert_one_query_and_one_transcript_per_round(running)
        assert in_spool(running) == []


@asynchronous
async def test_aggregator_killed_while_it_takes_a_job_knows_it_not_at_all(tmp_path):
    federation = make_federation(3, 3)
    crash = Crash("add_job")
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        submission = asyncio.create_task(running.submit(SPEC))
        await crash.reached.wait()
        submission.cancel()
        await running.restart_aggregator()
        assert await running.aggregator.jobs() == ()
        assert running.passed == []


@pytest.mark.parametrize(
    ("write", "nth", "after"),
    [
        ("append_job_event", 3, True),
        ("start_round", 2, False),
        ("start_round", 2, True),
        ("put_contribution", 7, False),
        ("put_partial", 6, False),
        ("finish", 1, False),
        ("finish", 1, True),
        ("finish", 2, False),
        ("append_job_event", 7, False),
    ],
    ids=[
        "proposing",
        "before the second query",
        "after the second query",
        "collecting",
        "decrypting",
        "released, not stored",
        "between rounds",
        "finished, not stored",
        "delivering",
    ],
)
@asynchronous
async def test_aggregator_killed_in_a_job_of_two_rounds_finishes_it_when_it_is_back(tmp_path, write, nth, after):
    federation = make_federation()
    crash = Crash(write, nth=nth, after=after)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        job_id = await running.submit(tree_spec())
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        model = Model.from_bytes(running.model(federation.parties[0], job_id))
        assert model.lineage.contributors == (5, 5)
        assert model.body["tree"][:2] == ["outlook", "wind"]
        assert_one_query_and_one_transcript_per_round(running)


@asynchronous
async def test_aggregator_killed_many_times_in_one_job_finishes_it(tmp_path):
    federation = make_federation()
    crash = Crash(nth=7)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        job_id = await running.submit(tree_spec())
        for _ in range(8):
            await crash.reached.wait()
            crash = Crash(nth=7)
            await running.restart_aggregator(crash)
        await running.restart_aggregator()
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert_one_query_and_one_transcript_per_round(running)


@asynchronous
async def test_restarted_aggregator_tells_of_finished_jobs_what_it_told_before(tmp_path):
    federation = make_federation(3, 3)
    async with InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties)) as running:
        job_id = await running.submit(SPEC)
        await running.result(job_id)
        before = (await running.aggregator.jobs(), await running.aggregator.models())
        model = await running.aggregator.model(job_id)
        await running.restart_aggregator()
        jobs, models = await running.aggregator.jobs(), await running.aggregator.models()
        # All but the progress of the last round, which is of no use any more.
        assert [replace(status, round=None) for status in jobs] == [replace(s, round=None) for s in before[0]]
        assert models == before[1]
        assert await running.aggregator.model(job_id) == model
        assert len([m for _, m in running.passed if isinstance(m, ModelDelivery)]) == 3
