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
from coterie_common.limits import PARTY_OPEN_JOBS_MOST, PARTY_UNASKED_JOBS_MOST, REFUSED_JOBS_MOST
from coterie_common.protocol.messages import Decision
from coterie_party.store.tables import ACCEPTANCES, JOBS, RULINGS


def check_room(
    connection: Connection,
    founder: str,
    since: datetime,
    *,
    most_open: int = PARTY_OPEN_JOBS_MOST,
    most_unasked: int = PARTY_UNASKED_JOBS_MOST,
) -> None:
    """Check that there is room for another job.

    Args:
        connection: in a transaction.
        founder: of the federation.
        since: a day ago.
        most_open: jobs that have not ended.
        most_unasked: jobs that ended since without asking anything.

    Raises:
        QuotaExceeded: too many jobs have not ended, or ended since without asking anything.
    """
    mine, undecided = JOBS.c.founder == founder, JOBS.c.decision != Decision.REFUSED.value
    still_open = _count(connection, mine, undecided, JOBS.c.outcome.is_(None), ~_is_withdrawn())
    if still_open >= most_open:
        raise QuotaExceeded(
            f"{still_open} jobs are open at this party, the limit is {most_open}: one has to end, or its "
            "steward refuses some"
        )
    ended = JOBS.c.outcome.is_not(None), JOBS.c.decided_at >= since
    unasked = _count(connection, mine, undecided, *ended, ~is_asked())
    if unasked >= most_unasked:
        raise QuotaExceeded(
            f"{unasked} jobs ended within a day before they asked this party anything, the limit is "
            f"{most_unasked}: try again tomorrow"
        )


def forget_refused(connection: Connection, founder: str, *, most: int = REFUSED_JOBS_MOST) -> None:
    """Forget the oldest refused jobs beyond the limit; never one that the steward decided on."""
    refused = JOBS.c.founder == founder, JOBS.c.decision == Decision.REFUSED.value, ~_is_ruled(), ~is_asked()
    kept = select(JOBS.c.sequence).where(*refused).order_by(JOBS.c.sequence.desc())
    oldest = connection.execute(kept.offset(most).limit(1)).scalar_one_or_none()
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
