# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Limits on the number of jobs that a party keeps, inside a transaction of the store: nobody can fill its disk.

A job is a row with its digests. Specification and terms are kept while they may be needed, and for ever if the job
asked this party something; not if it was refused, or ended before it asked anything.

Refused jobs are forgotten in the end, the oldest first. That is safe. A row binds a job id to one specification so that
this party does not give two answers under one id; to a refused job it gave no answer that depends on its data, and it
reserved nothing. If such a job is proposed again, it is decided on like any other, and an aggregator that wants another
decision on the same specification need not wait for that: it may take a new id. Answers and opened transcripts under a
job id are bound by rows of their own, which are never removed, and so are the steward's decisions: a job that the
steward refused is never forgotten.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, exists, func, select

from coterie_common.errors import QuotaExceeded
from coterie_common.limits import MAX_PARTY_OPEN_JOBS, MAX_PARTY_UNASKED_JOBS, MAX_REFUSED_JOBS
from coterie_common.protocol.acceptance import Decision
from coterie_party.store.tables import ACCEPTANCES, JOBS, RULINGS


def check_room(
    connection: Connection,
    founder: str,
    since: datetime,
    *,
    max_open: int = MAX_PARTY_OPEN_JOBS,
    max_unasked: int = MAX_PARTY_UNASKED_JOBS,
) -> None:
    """Check that there is room for another job.

    Args:
        connection: in a transaction.
        founder: of the federation.
        since: a day ago.
        max_open: jobs that have not ended.
        max_unasked: jobs that ended since without asking anything.

    Raises:
        QuotaExceeded: too many jobs have not ended, or ended since without asking anything.
    """
    mine, undecided = JOBS.c.founder == founder, JOBS.c.decision != Decision.REFUSED.value
    still_open = _count(connection, mine, undecided, JOBS.c.outcome.is_(None), ~_is_withdrawn())
    if still_open >= max_open:
        raise QuotaExceeded(
            f"{still_open} jobs are open at this party, the limit is {max_open}: one has to end, or its "
            "steward refuses some"
        )
    ended = JOBS.c.outcome.is_not(None), JOBS.c.decided_at >= since
    unasked = _count(connection, mine, undecided, *ended, ~is_asked())
    if unasked >= max_unasked:
        raise QuotaExceeded(
            f"{unasked} jobs ended within a day before they asked this party anything, the limit is "
            f"{max_unasked}: try again tomorrow"
        )


def forget_refused(connection: Connection, founder: str, *, maximum: int = MAX_REFUSED_JOBS) -> None:
    """Forget the oldest refused jobs beyond the limit; never one that the steward decided on."""
    refused = JOBS.c.founder == founder, JOBS.c.decision == Decision.REFUSED.value, ~_is_ruled(), ~is_asked()
    kept = select(JOBS.c.sequence).where(*refused).order_by(JOBS.c.sequence.desc())
    oldest = connection.execute(kept.offset(maximum).limit(1)).scalar_one_or_none()
    if oldest is not None:
        connection.execute(delete(JOBS).where(*refused, JOBS.c.sequence <= oldest))


def is_asked() -> ColumnElement[bool]:
    """Whether a job asked this party at least one round that the party accepted."""
    return exists().where(ACCEPTANCES.c.founder == JOBS.c.founder, ACCEPTANCES.c.job_id == JOBS.c.job_id)


def _is_ruled() -> ColumnElement[bool]:
    return exists().where(RULINGS.c.founder == JOBS.c.founder, RULINGS.c.job_id == JOBS.c.job_id)


def _is_withdrawn() -> ColumnElement[bool]:
    mine = RULINGS.c.founder == JOBS.c.founder, RULINGS.c.job_id == JOBS.c.job_id
    last = select(RULINGS.c.approved).where(*mine).order_by(RULINGS.c.sequence.desc()).limit(1)
    return func.coalesce(last.scalar_subquery(), True).is_(False)


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).select_from(JOBS).where(*conditions)).scalar_one())
