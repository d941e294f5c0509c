# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from coterie_aggregator.live.quota import check_quota
from coterie_aggregator.machines.job_machine import Phase
from coterie_common.errors import QuotaExceeded
from coterie_common.identifiers import MemberId
from coterie_common.limits import MAX_OPEN_JOBS, OPEN_JOBS_PER_PERSON, SUBMISSIONS_PER_PERSON

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
OLGA, SVEN = MemberId("olga"), MemberId("sven")


def jobs(
    count: int, person: MemberId = OLGA, phase: Phase = Phase.RUNNING, ago: timedelta = timedelta(hours=1)
) -> list[Any]:
    submission = SimpleNamespace(submitter=person, submitted_at=NOW - ago)
    return [SimpleNamespace(state=SimpleNamespace(phase=phase), submission=submission) for _ in range(count)]


@pytest.mark.parametrize("phase", [Phase.PROPOSED, Phase.RUNNING, Phase.DELIVERING])
def test_person_with_as_many_open_jobs_as_allowed_is_refused_and_another_is_not(phase):
    check_quota(jobs(OPEN_JOBS_PER_PERSON - 1, phase=phase), OLGA, NOW)
    mine = jobs(OPEN_JOBS_PER_PERSON, phase=phase)
    with pytest.raises(QuotaExceeded, match=f"{OPEN_JOBS_PER_PERSON} of your jobs have not ended") as refusal:
        check_quota(mine, OLGA, NOW)
    assert refusal.value.code == "quota-exceeded"
    check_quota(mine, SVEN, NOW)


def test_open_jobs_of_all_are_limited_too():
    people = [MemberId(f"person-{number}") for number in range(4)]
    share = MAX_OPEN_JOBS // len(people)
    full = [job for person in people for job in jobs(share, person)]
    check_quota(full[1:], OLGA, NOW)
    with pytest.raises(QuotaExceeded, match=f"{MAX_OPEN_JOBS} jobs have not ended"):
        check_quota(full, OLGA, NOW)


def test_person_may_submit_so_many_jobs_within_a_day_whatever_became_of_them():
    ended = jobs(SUBMISSIONS_PER_PERSON - 1, phase=Phase.ENDED)
    first = jobs(1, phase=Phase.ENDED, ago=timedelta(hours=23))
    check_quota(ended, OLGA, NOW)
    with pytest.raises(QuotaExceeded, match="try again after 2026-03-04 13:00 UTC"):
        check_quota(ended + first, OLGA, NOW)
    check_quota(ended + first, SVEN, NOW)
    check_quota(ended + first, OLGA, NOW + timedelta(hours=1))
