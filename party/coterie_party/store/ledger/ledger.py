# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The privacy ledger of the party's data sets, inside a transaction of the store: reserve, then commit or release.

A line exists once per (founder, job, number) and is never removed: one for each step of the plan, numbered as the steps
are, and behind them the spare ones, for steps that are asked again. It counts as spent from its reservation on; it is
given back only if the job ended before the round's query was accepted. Adding up the lines is left to the accountant.

Invariant: a data set's ledger spans all founders, and lines that were carried here from other ledgers (``carried``).
Another federation that asks the same records gets no new budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Table, insert, select, update

from coterie_common import document
from coterie_common.errors import BudgetExhausted, MalformedMessage, StateError, StorageError
from coterie_common.identifiers import JobId
from coterie_party.store.records import LedgerEntry, Reservation, ReservationStatus
from coterie_party.store.tables import CARRIED, LEDGER

COST_BYTES: Final = 1 << 20
"""A cost holds some numbers per order of the accountant, an event some dozen."""


def datasets(connection: Connection) -> tuple[str, ...]:
    """Return the data sets that have lines."""
    names = [connection.execute(select(table.c.dataset).distinct()).scalars().all() for table in (LEDGER, CARRIED)]
    return tuple(sorted({name for each in names for name in each}))


def entries(connection: Connection, dataset: str) -> tuple[LedgerEntry, ...]:
    """Return the lines of a data set, including those that were given back; none twice.

    If this store also has a line that was carried here, the carried one stands for it until it is spent here, too.
    """
    own, carried = (_entries(connection, dataset, (table,)) for table in (LEDGER, CARRIED))
    spent = {_key(entry) for entry in own if entry.status is ReservationStatus.COMMITTED}
    elsewhere = {_key(entry) for entry in carried if entry.status is not ReservationStatus.RELEASED} - spent
    return (
        *(entry for entry in own if _key(entry) not in elsewhere),
        *(entry for entry in carried if _key(entry) not in spent),
    )


def _key(entry: LedgerEntry) -> tuple[str, str, int, datetime | None]:
    return entry.founder, entry.job_id, entry.round_number, entry.reserved_at


def own_entries(connection: Connection, founder: str) -> Iterator[tuple[str, LedgerEntry]]:
    """Yield the lines that were reserved in this store for a founder's jobs, each with its data set."""
    for dataset in datasets(connection):
        for entry in _entries(connection, dataset, (LEDGER,)):
            if entry.founder == founder:
                yield dataset, entry


def _entries(connection: Connection, dataset: str, tables: Sequence[Table]) -> tuple[LedgerEntry, ...]:
    rows = [
        row
        for table in tables
        for row in connection.execute(
            select(table)
            .where(table.c.dataset == dataset)
            .order_by(table.c.founder, table.c.job_id, table.c.number, table.c.reserved_at)
        )
    ]
    try:
        return tuple(
            LedgerEntry(
                founder=row.founder,
                job_id=row.job_id,
                round_number=row.number,
                cost=document.decode(row.cost, "a cost in the ledger", maximum=COST_BYTES),
                status=ReservationStatus(row.status),
                event=None if row.event is None else document.decode(row.event, "an event", maximum=COST_BYTES),
                records=row.records,
                division=row.division,
                reserved_at=row.reserved_at,
                settled_at=row.settled_at,
            )
            for row in rows
        )
    except (MalformedMessage, ValueError) as cause:
        raise StorageError(f"the ledger of {dataset} cannot be read: {cause}") from cause


def reserved(connection: Connection, founder: str, job_id: str) -> tuple[str, tuple[Reservation, ...]]:
    """Return the data set of a job that has lines, and the lines as they were reserved."""
    columns = LEDGER.c
    mine = select(columns.dataset).where(columns.founder == founder, columns.job_id == job_id).limit(1)
    dataset: str = connection.execute(mine).scalar_one()
    lines = [line for _, line in own_entries(connection, founder) if line.job_id == job_id]
    return dataset, tuple(
        Reservation(line.round_number, line.cost, line.event, line.records, line.division) for line in lines
    )


def reserve(
    connection: Connection,
    founder: str,
    job_id: JobId,
    dataset: str,
    reservations: Sequence[Reservation],
    now: datetime,
) -> None:
    """Set aside the cost of every planned round of a job; raises ``StateError`` if there is none."""
    if not reservations:
        raise StateError(f"job {job_id} is accepted without a cost in the ledger")
    connection.execute(
        insert(LEDGER),
        [
            {
                "founder": founder,
                "job_id": job_id,
                "number": reservation.round_number,
                "dataset": dataset,
                "cost": document.encode(reservation.cost),
                "status": ReservationStatus.RESERVED.value,
                "event": None if reservation.event is None else document.encode(reservation.event),
                "records": reservation.records,
                "division": reservation.division,
                "reserved_at": now,
            }
            for reservation in reservations
        ],
    )


def commit(
    connection: Connection, founder: str, job_id: JobId, number: int, now: datetime, priced_as: int | None = None
) -> None:
    """Turn a reserved line into a spent cost, for good; the time of the first call stays.

    Args:
        connection: in a transaction.
        founder: of the federation.
        job_id: the job.
        number: of the line.
        now: the current time.
        priced_as: number of the line whose cost it takes; a spare line was reserved at a price that dominates it.

    Raises:
        BudgetExhausted: nothing is reserved under that number.
    """
    columns = LEDGER.c
    of_job = columns.founder == founder, columns.job_id == job_id
    line = *of_job, columns.number == number
    reserved = columns.status == ReservationStatus.RESERVED.value
    spends = update(LEDGER).where(*line, reserved)
    values: dict[str, object] = {"status": ReservationStatus.COMMITTED.value, "settled_at": now}
    if priced_as is not None and priced_as != number:
        price = select(columns.cost, columns.event, columns.records, columns.division)
        values |= connection.execute(price.where(*of_job, columns.number == priced_as)).one()._asdict()
    spent = connection.execute(spends.values(values))
    if spent.rowcount == 1:
        return
    if (
        connection.execute(select(columns.status).where(*line)).scalar_one_or_none()
        != ReservationStatus.COMMITTED.value
    ):
        raise BudgetExhausted(f"no privacy budget is reserved for step {number} of job {job_id}")


def release_unspent(connection: Connection, founder: str, job_id: JobId, now: datetime) -> None:
    """Give back what a job reserved for rounds that it never asked."""
    columns = LEDGER.c
    unspent = columns.status == ReservationStatus.RESERVED.value
    lines = update(LEDGER).where(columns.founder == founder, columns.job_id == job_id, unspent)
    connection.execute(lines.values(status=ReservationStatus.RELEASED.value, settled_at=now))
