# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from coterie_common.errors import CoterieError, DataError, InternalError, Overloaded, StorageError
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import JobId
from coterie_common.protocol.messages import Query
from coterie_party.live.rounds.background import BackgroundWork
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.seeded_random import SeededRandom

JOB, OTHER = JobId("tree-0000000a"), JobId("tree-0000000b")
KEY = JOB, 1
INCIDENTS = Incidents("the party's", SeededRandom("numbers of incidents"))


Work = Callable[[], Awaitable[None]]


class Reports:
    """What rounds were told of."""

    def __init__(self) -> None:
        self.told: list[tuple[tuple[str, int], str, str]] = []
        self.came = asyncio.Event()

    async def __call__(self, key: tuple[str, int], error: CoterieError, about: object) -> None:
        self.told.append((key, error.code, error.message))
        self.came.set()


def raising(failure: Exception) -> Work:
    async def work() -> None:
        raise failure

    return work


@asynchronous
async def test_same_work_runs_once_at_a_time_and_again_when_it_is_done():
    background, go_on = BackgroundWork(Reports(), INCIDENTS), asyncio.Event()
    begun: list[int] = []

    async def work() -> None:
        begun.append(len(begun))
        await go_on.wait()

    for _ in range(3):
        background.start(KEY, "reply", work)
    background.start(KEY, "partial", work)
    await asyncio.sleep(0)
    assert begun == [0, 1]
    go_on.set()
    await asyncio.sleep(0.01)
    background.start(KEY, "reply", work)
    await asyncio.sleep(0)
    assert begun == [0, 1, 2]
    await background.cancel()


@asynchronous
async def test_error_is_reported_to_its_round_and_an_unforeseen_one_without_its_words():
    reports = Reports()
    background = BackgroundWork(reports, INCIDENTS)
    background.start(KEY, "reply", raising(DataError("column age")))
    await reports.came.wait()
    reports.came.clear()
    background.start(KEY, "reply2", raising(ValueError("a patient's name")))
    await reports.came.wait()
    assert [(key, code) for key, code, _ in reports.told] == [(KEY, DataError.code), (KEY, InternalError.code)]
    assert "patient" not in reports.told[1][2]


@asynchronous
async def test_storage_that_fails_is_not_reported_but_stops_the_daemon():
    reports = Reports()
    background = BackgroundWork(reports, INCIDENTS)
    background.start(KEY, "reply", raising(StorageError("disk full")))
    with pytest.raises(StorageError, match="disk full"):
        await background.failed()
    assert reports.told == []


@asynchronous
async def test_report_that_fails_stops_the_daemon():
    async def report(key: tuple[str, int], error: CoterieError, about: object) -> None:
        raise StorageError("disk full")

    background = BackgroundWork(report, INCIDENTS)
    background.start(KEY, "reply", raising(DataError("column age")))
    with pytest.raises(StorageError, match="disk full"):
        await background.failed()


@asynchronous
async def test_work_has_room_for_so_many_messages_and_so_many_bytes_and_again_when_it_is_done():
    running = BackgroundWork(Reports(), INCIDENTS, maximum=2, max_bytes=100)
    release = asyncio.Event()

    async def work() -> None:
        await release.wait()

    def asked(size: int) -> Query:
        return replace(make_federation().query(), body=bytes(size))

    running.check_room(asked(100))
    with pytest.raises(Overloaded) as refusal:
        running.check_room(asked(101))
    assert refusal.value.code == "overloaded"
    running.start((JobId("job-1"), 1), "reply", work, asked(60))
    running.check_room(asked(40))
    with pytest.raises(Overloaded):
        running.check_room(asked(41))
    running.start((JobId("job-2"), 1), "reply", work, asked(1))
    with pytest.raises(Overloaded):
        running.check_room(asked(0))
    await running.cancel(JobId("job-2"))
    running.check_room(asked(40))
    release.set()
    for _ in range(5):
        await asyncio.sleep(0)
    running.check_room(asked(100))
    await running.cancel()


@asynchronous
async def test_cancelled_job_leaves_the_work_of_others():
    background = BackgroundWork(Reports(), INCIDENTS)
    ended: list[JobId] = []

    def waiting(job_id: JobId) -> Work:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(job_id)

        return work

    background.start(KEY, "reply", waiting(JOB))
    background.start((OTHER, 1), "reply", waiting(OTHER))
    await asyncio.sleep(0)
    await background.cancel(JOB)
    assert ended == [JOB]
    await background.cancel()
    assert ended == [JOB, OTHER]
