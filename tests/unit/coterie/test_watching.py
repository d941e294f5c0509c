# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from coterie.client import Client
from coterie.watching import follow
from coterie_common.errors import CoterieError, NotFound, Unavailable
from coterie_common.identifiers import JobId
from coterie_common.limits import MAX_BACKOFF_SECONDS
from coterie_common.protocol.progress import JobState, JobStatus
from tests.support.handlers import job_status

RUNNING, COMPLETED = job_status(), job_status(JobState.COMPLETED)


Answer = list[JobStatus | CoterieError]


class ScriptedClient:
    """Answers each call of ``watch`` with the next list; an error in it is raised."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def watch(self, job_id: JobId) -> Iterator[JobStatus]:
        for status in self._answers.pop(0):
            if isinstance(status, Exception):
                raise status
            yield status


def followed(*answers: Answer) -> tuple[JobStatus, list[JobStatus], list[str], list[float]]:
    shown: list[JobStatus] = []
    lost: list[str] = []
    pauses: list[float] = []
    final = follow(
        cast("Client", ScriptedClient(*answers)),
        JobId("nursery-1"),
        show=shown.append,
        lost=lambda error, pause: lost.append(error.code),
        sleep=pauses.append,
    )
    return final, shown, lost, pauses


def test_follow_returns_the_final_status():
    assert followed([RUNNING, COMPLETED]) == (COMPLETED, [RUNNING, COMPLETED], [], [])


def test_follow_goes_on_over_lost_connections_and_an_early_end():
    gone = Unavailable("gone")
    final, shown, lost, pauses = followed([RUNNING, gone], [gone], [gone], [RUNNING], [COMPLETED])
    assert final is COMPLETED
    assert shown == [RUNNING, RUNNING, COMPLETED]
    assert lost == ["unavailable"] * 4
    assert pauses == [0.5, 1.0, 2.0, 0.5]


def test_pause_of_follow_has_a_cap():
    gone: Answer = [Unavailable("gone")]
    *_, pauses = followed([RUNNING, Unavailable("gone")], *([gone] * 9), [COMPLETED])
    assert max(pauses) == MAX_BACKOFF_SECONDS


def test_follow_raises_what_the_first_attempt_raised():
    with pytest.raises(Unavailable):
        followed([Unavailable("nobody there")])


def test_follow_raises_a_refusal_at_any_time():
    with pytest.raises(NotFound):
        followed([RUNNING, Unavailable("gone")], [NotFound("no such job")])
