# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The version of each data set's file, inside a transaction of the store: one row per data set, the latest in use.

A data set's version spans all founders, as its ledger does.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from coterie_common.identifiers import JobId
from coterie_common.learning.plan import Records
from coterie_party.store.records import DataVersion
from coterie_party.store.tables import DATA_VERSIONS, LEDGER


def version(connection: Connection, dataset: str) -> DataVersion | None:
    """Return the version that was stored last; ``None`` before the first."""
    row = connection.execute(select(DATA_VERSIONS).where(DATA_VERSIONS.c.dataset == dataset)).one_or_none()
    return None if row is None else DataVersion(generation=row.generation, length=row.length, digest=row.digest)


def keep(connection: Connection, dataset: str, seen: DataVersion) -> None:
    """Store a version in place of the previous one."""
    connection.execute(delete(DATA_VERSIONS).where(DATA_VERSIONS.c.dataset == dataset))
    connection.execute(
        insert(DATA_VERSIONS).values(
            dataset=dataset, generation=seen.generation, length=seen.length, digest=seen.digest
        )
    )


def forget(connection: Connection, dataset: str) -> None:
    """Take any file for another one than before."""
    connection.execute(delete(DATA_VERSIONS).where(DATA_VERSIONS.c.dataset == dataset))


def divisions(connection: Connection, founder: str, job_id: JobId) -> frozenset[str]:
    """Return the divisions under which a job's lines count for one side only."""
    columns = LEDGER.c
    mine = columns.founder == founder, columns.job_id == job_id, columns.records != Records.ALL.value
    return frozenset(connection.execute(select(columns.division).where(*mine).distinct()).scalars())
