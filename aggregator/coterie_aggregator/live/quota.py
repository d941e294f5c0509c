# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Limits on the number of jobs per person: nobody can crowd out others or fill the aggregator's memory and disk.

The limits count what is stored, so a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from coterie_aggregator.live.live_job import LiveJob
from coterie_aggregator.machines.job_machine import Phase
from coterie_common.errors import QuotaExceeded
from coterie_common.identifiers import MemberId
from coterie_common.limits import MAX_OPEN_JOBS, OPEN_JOBS_PER_PERSON, SUBMISSIONS_PER_PERSON

_DAY = timedelta(days=1)


def check_quota(jobs: Collection[LiveJob], person: MemberId, now: datetime) -> None:
    """Check that a person may submit another job.

    Args:
        jobs: all jobs ever submitted.
        person: the submitter.
        now: with time zone.

    Raises:
        QuotaExceeded: too many of the person's jobs, or of everybody's, have not ended; or too many in a day.
    """
    still_open = [live for live in jobs if live.state.phase is not Phase.ENDED]
    mine = [live for live in still_open if live.submission.submitter == person]
    if len(mine) >= OPEN_JOBS_PER_PERSON:
        raise QuotaExceeded(
            f"{len(mine)} of your jobs have not ended, the limit per person is {OPEN_JOBS_PER_PERSON}: wait for one, "
            "or cancel one; see 'coterie jobs list'"
        )
    if len(still_open) >= MAX_OPEN_JOBS:
        raise QuotaExceeded(f"{len(still_open)} jobs have not ended, the limit is {MAX_OPEN_JOBS}: wait for one")
    submitted = [live.submission.submitted_at for live in jobs if live.submission.submitter == person]
    recent = sorted(at for at in submitted if at > now - _DAY)
    if len(recent) >= SUBMISSIONS_PER_PERSON:
        free_at = recent[len(recent) - SUBMISSIONS_PER_PERSON] + _DAY
        raise QuotaExceeded(
            f"you submitted {len(recent)} jobs within a day, the limit per person is {SUBMISSIONS_PER_PERSON}: try "
            f"again after {free_at:%Y-%m-%d %H:%M} UTC"
        )
