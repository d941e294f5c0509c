# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the steward said of single jobs, inside a transaction of the store. Nothing is removed; the last word counts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from coterie_common.identifiers import JobId
from coterie_party.store.records import Ruling
from coterie_party.store.tables import RULINGS


def last(connection: Connection, founder: str, job_id: JobId) -> Ruling | None:
    """Return the steward's last word on a job; ``None`` if there is none."""
    columns = RULINGS.c
    mine = select(RULINGS).where(columns.founder == founder, columns.job_id == job_id)
    row = connection.execute(mine.order_by(columns.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else Ruling(is_approved=row.approved, reason=row.reason, said_at=row.said_at)


def add(connection: Connection, founder: str, job_id: JobId, *, is_approved: bool, reason: str, now: datetime) -> None:
    """Note what the steward says of a job that was proposed."""
    values = {"founder": founder, "job_id": job_id, "approved": is_approved, "reason": reason, "said_at": now}
    connection.execute(insert(RULINGS).values(values))
