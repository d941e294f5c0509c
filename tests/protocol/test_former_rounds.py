# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An aggregator that is updated while a job runs: a round that the version before asked cannot go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from coterie_common.protocol.messages import Query
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.former_files import former_query
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import tree_spec, write_play


def rewrite_query(folder: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    with closing(sqlite3.connect(folder / "aggregator.db")) as connection, connection:
        (query,) = connection.execute("SELECT query FROM rounds WHERE number = ?", (number,)).fetchone()
        connection.execute("UPDATE rounds SET query = ? WHERE number = ?", (change(query), number))


@pytest.mark.parametrize("number", [1, 2])
@asynchronous
async def test_job_whose_round_an_earlier_version_asked_fails_and_says_to_submit_it_again(tmp_path, number):
    federation = make_federation(3, 3)
    crash = Crash("start_round", nth=number, after=True)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        job_id = await running.submit(tree_spec())
        await crash.reached.wait()
        await running.kill_aggregator()
        rewrite_query(tmp_path, number, former_query)
        await running.restart_aggregator()
        status = await running.result(job_id)
        words = f"round {number} was begun under an earlier protocol version: submit the job again"
        assert (status.state, status.reason) == (JobState.FAILED, words)
        asked = {message.fields.round_number for _, message in running.passed if isinstance(message, Query)}
        assert asked == set(range(1, number))
        # And again it runs.
        assert (await running.result(await running.submit(tree_spec()))).state is JobState.COMPLETED


@asynchronous
async def test_damaged_query_of_this_version_is_still_an_incident(tmp_path):
    federation = make_federation(3, 3)
    crash = Crash("start_round", after=True)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), aggregator_crash=crash
    )
    async with running:
        job_id = await running.submit(tree_spec())
        await crash.reached.wait()
        await running.kill_aggregator()
        rewrite_query(tmp_path, 1, lambda query: query[:-1])
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert "incident" in status.reason
