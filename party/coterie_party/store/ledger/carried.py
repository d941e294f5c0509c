# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Lines of other ledgers over the same records, inside a transaction of the store: they are added and never removed.

Invariants:
- Spending recorded here is never reduced: a known line stays, unless the imported line states that more of it is spent.
- A line that was reserved elsewhere counts as spent: it may have been answered since. This also holds if this folder
  has the line itself and has not spent it: the end of its job does not give it back.
- Importing the same lines again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select, update

from coterie_common import document
from coterie_common.host.database import transaction
from coterie_party.store import data_versions
from coterie_party.store.ledger import ledger
from coterie_party.store.records import LedgerEntry, ReservationStatus
from coterie_party.store.tables import CARRIED, LEDGER, SALTS


def carry(connection: Connection, dataset: str, entries: Iterable[LedgerEntry], now: datetime) -> int:
    """Add lines to a data set's ledger; returns the number of lines that are new or state more spending than known."""
    return sum(_carry(connection, dataset, entry, now) for entry in entries)


def _carry(connection: Connection, dataset: str, entry: LedgerEntry, now: datetime) -> bool:
    status = ReservationStatus.COMMITTED if entry.status is ReservationStatus.RESERVED else entry.status
    settled_at = now if entry.status is ReservationStatus.RESERVED or entry.settled_at is None else entry.settled_at
    own = LEDGER.c
    mine = (
        own.founder == entry.founder,
        own.job_id == entry.job_id,
        own.number == entry.round_number,
        own.dataset == dataset,
        own.reserved_at.is_(None) if entry.reserved_at is None else own.reserved_at == entry.reserved_at,
    )
    known = connection.execute(select(own.status).where(*mine)).scalar_one_or_none()
    if known == ReservationStatus.COMMITTED.value or (known is not None and status is ReservationStatus.RELEASED):
        return False
    accepted = "" if entry.reserved_at is None else entry.reserved_at.isoformat()
    columns = CARRIED.c
    line = (
        columns.founder == entry.founder,
        columns.job_id == entry.job_id,
        columns.number == entry.round_number,
        columns.accepted == accepted,
    )
    before = connection.execute(select(columns.status).where(*line)).scalar_one_or_none()
    if before is None:
        connection.execute(
            insert(CARRIED).values(
                founder=entry.founder,
                job_id=entry.job_id,
                number=entry.round_number,
                accepted=accepted,
                dataset=dataset,
                cost=document.encode(entry.cost),
                status=status.value,
                event=None if entry.event is None else document.encode(entry.event),
                reserved_at=entry.reserved_at,
                settled_at=settled_at,
                records=entry.records,
                division=entry.division,
            )
        )
        return True
    if before == ReservationStatus.RELEASED.value and status is not ReservationStatus.RELEASED:
        connection.execute(update(CARRIED).where(*line).values(status=status.value, settled_at=settled_at))
        return True
    return False


class CarriedLines:
    """A party's ledger as a whole, to be taken elsewhere, and lines that come from elsewhere.

    Args:
        engine: from ``open_database`` with the revisions of ``coterie_party.store.migrations``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_empty(self) -> bool:
        """Return whether nothing was ever reserved here or carried here."""
        with transaction(self._engine) as connection:
            return not ledger.datasets(connection)

    def everything(self) -> tuple[dict[str, tuple[LedgerEntry, ...]], dict[str, bytes]]:
        """Return all lines, and the secrets that decide which records are set aside, by data set."""
        with transaction(self._engine) as connection:
            lines = {name: ledger.entries(connection, name) for name in ledger.datasets(connection)}
            return lines, {row.dataset: row.salt for row in connection.execute(select(SALTS))}

    def add(self, entries: Mapping[str, Sequence[LedgerEntry]], salts: Mapping[str, bytes], now: datetime) -> int:
        """Add lines, in one transaction; returns the number of lines that are new or state more spending than known.

        A data set that has a salt keeps it: lines of another division then count for all its records.
        """
        with transaction(self._engine) as connection:
            known = set(connection.execute(select(SALTS.c.dataset)).scalars())
            for dataset in salts.keys() - known:
                connection.execute(insert(SALTS).values(dataset=dataset, salt=salts[dataset]))
            count = 0
            for dataset, lines in entries.items():
                own = {entry.division for entry in ledger.entries(connection, dataset)} - {""}
                new = carry(connection, dataset, lines, now)
                if new and any(entry.division in own for entry in lines):
                    # A folder with this one's past has gone on elsewhere: it may have added other rows to the file.
                    data_versions.forget(connection, dataset)
                count += new
            return count
