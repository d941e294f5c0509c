# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from coterie_common.errors import StorageError
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import statistics_spec, write_play


def remove_algorithm(folder: Path) -> None:
    """Change a stored job as if its algorithm had been uninstalled since."""
    with closing(sqlite3.connect(folder / "aggregator.db")) as database:
        for sequence, proposal in database.execute("SELECT sequence, proposal FROM jobs").fetchall():
            gone = proposal.replace(b'"statistics"', b'"uninstalle"')
            database.execute("UPDATE jobs SET proposal = ? WHERE sequence = ?", (gone, sequence))
        database.commit()


@asynchronous
async def test_ended_job_that_is_not_understood_any_more_is_shown_as_before(tmp_path):
    federation = make_federation(3, 3)
    async with InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties)) as running:
        await running.result(await running.submit(statistics_spec()))
        (before,), models = await running.aggregator.jobs(), await running.aggregator.models()
        await running.kill_aggregator()
        remove_algorithm(tmp_path)
        await running.start_aggregator()
        (after,) = await running.aggregator.jobs()
        assert replace(after, parties=before.parties) == replace(before, algorithm="uninstalle")
        assert await running.aggregator.models() == tuple(replace(m, algorithm="uninstalle") for m in models)
        await running.restart_aggregator()
        again = await running.submit(statistics_spec())
        assert (await running.result(again)).state is JobState.COMPLETED


@asynchronous
async def test_ended_job_whose_proposal_is_damaged_is_left_out(tmp_path):
    federation = make_federation(3, 3)
    async with InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties)) as running:
        await running.result(await running.submit(statistics_spec()))
        await running.kill_aggregator()
        with closing(sqlite3.connect(tmp_path / "aggregator.db")) as database:
            database.execute("UPDATE jobs SET proposal = ?", (b"no message",))
            database.commit()
        await running.start_aggregator()
        assert (await running.aggregator.jobs(), await running.aggregator.models()) == ((), ())


@asynchronous
async def test_running_job_that_is_not_understood_any_more_stops_the_start(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, absent=federation.parties) as running:
        await running.submit(statistics_spec())
        await running.kill_aggregator()
        remove_algorithm(tmp_path)
        with pytest.raises(StorageError, match="cannot be understood any more"):
            await running.start_aggregator()
