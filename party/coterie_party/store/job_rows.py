# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Jobs as rows of the store."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, insert, update

from coterie_common import document
from coterie_common.errors import MalformedMessage, StorageError
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_party.store.ledger.ledger import COST_BYTES
from coterie_party.store.records import PartyJob
from coterie_party.store.tables import JOBS

JOB_VALUES: Final = ("job_id", "spec", "terms", "spec_digest", "terms_digest", "code", "detail", "dataset")


def job_of(row: Row[Any]) -> PartyJob:
    """Return a job as a value; raises ``StorageError``."""
    return PartyJob(
        **{name: getattr(row, name) for name in (*JOB_VALUES, "proposed_at", "decided_at")},
        cost=None if row.cost is None else _cost_of(row),
        decision=Decision(row.decision),
        outcome=None if row.outcome is None else JobOutcome(row.outcome),
    )


def insert_job(connection: Connection, founder: str, job: PartyJob) -> None:
    """Add the row of a job that was not proposed before."""
    values = {name: getattr(job, name) for name in JOB_VALUES} | {"proposed_at": job.proposed_at}
    connection.execute(insert(JOBS).values(founder=founder, **values, **_decision_of(job)))


def update_job(connection: Connection, founder: str, job: PartyJob) -> None:
    """Decide on a job that was held."""
    values = {name: getattr(job, name) for name in ("spec", "terms", "code", "detail", "dataset")}
    held = update(JOBS).where(JOBS.c.founder == founder, JOBS.c.job_id == job.job_id)
    connection.execute(held.values(**values, **_decision_of(job)))


def _decision_of(job: PartyJob) -> dict[str, Any]:
    cost = None if job.cost is None else document.encode(job.cost)
    return {"decision": job.decision.value, "cost": cost, "decided_at": job.decided_at}


def _cost_of(row: Row[Any]) -> document.Document:
    try:
        cost: document.Document = document.decode(row.cost, "a job's cost", maximum=COST_BYTES)
    except MalformedMessage as cause:
        raise StorageError(f"the cost of job {row.job_id} cannot be read: {cause}") from cause
    return cost


def may_still_decide(job: PartyJob) -> bool:
    """Return whether another decision may take the place of the one that is stored."""
    return job.decision is Decision.HELD and job.outcome is None
