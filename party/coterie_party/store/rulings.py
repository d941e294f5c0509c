# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steward's decisions on single jobs, inside a transaction of the store. None is removed; the latest one counts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from coterie_common.errors import AlreadyDecided
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Decision
from coterie_party.store.records import PartyJob, Ruling
from coterie_party.store.tables import RULINGS


def last(connection: Connection, founder: str, job_id: JobId) -> Ruling | None:
    """Return the steward's latest decision on a job; ``None`` if there is none."""
    columns = RULINGS.c
    mine = select(RULINGS).where(columns.founder == founder, columns.job_id == job_id)
    row = connection.execute(mine.order_by(columns.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else Ruling(is_approved=row.approved, reason=row.reason, said_at=row.said_at)


def add(connection: Connection, founder: str, job: PartyJob, *, is_approved: bool, reason: str, now: datetime) -> None:
    """Store the steward's decision on a job that was proposed.

    Raises:
        AlreadyDecided: it is over, or was refused; or it is approved, and the party already takes part.
    """
    if job.outcome is not None:
        raise AlreadyDecided(f"job {job.job_id} is over: {job.outcome.value}")
    earlier = last(connection, founder, job.job_id)
    takes_part = job.decision is Decision.ACCEPTED and (earlier is None or earlier.is_approved)
    if job.decision is Decision.REFUSED or (is_approved and takes_part):
        why = f": {job.detail} [{job.code}]" if job.code else ""
        raise AlreadyDecided(f"this party has {job.decision.value} job {job.job_id} already{why}")
    values = {"founder": founder, "job_id": job.job_id, "approved": is_approved, "reason": reason, "said_at": now}
    connection.execute(insert(RULINGS).values(values))
