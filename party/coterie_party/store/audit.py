# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's audit record, inside a transaction of the store: an act and its entry are durable together, or neither.

Invariants:
- Entries are appended and never changed; each follows on the one that is last in the same transaction.
- Refusals are listed one by one up to a rate limit; beyond it they are counted, and the next listed one states how many
  were not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from coterie_common.audit.entry import FIRST_PREVIOUS, Details, Entry, Event, Head, Kind, Owner, next_entry
from coterie_common.clock import Clock
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import StorageError
from coterie_common.limits import AUDIT_REFUSAL_SECONDS, AUDIT_REFUSALS_LISTED
from coterie_party.store.tables import AUDIT

_COPIED: Final = ("sequence", "time", "job_id", "details", "previous", "hash", "signature")


@dataclass(kw_only=True)
class Recorder:
    """Appends to one party's record. Used by one thread at a time, as the store is.

    Attributes:
        owner: the owner of the record.
        key: the owner's signing key.
        clock: wall time.
    """

    owner: Owner
    key: SigningKey
    clock: Clock
    _limit: _RefusalLimit = field(init=False)

    def __post_init__(self) -> None:
        self._limit = _RefusalLimit(self.clock)

    def append(self, connection: Connection, event: Event, now: datetime | None = None) -> None:
        """Append an entry, dated ``now`` if the recorded act is stored elsewhere with that time."""
        now = now or self.clock.now()
        entry = next_entry(event, head(connection, self.owner.founder), self.owner, self.key, now=now)
        values = {name: getattr(entry, name) for name in _COPIED}
        values |= {"founder": self.owner.founder, "kind": entry.kind.value, "number": entry.round_number}
        connection.execute(insert(AUDIT).values(**values))

    def refused_job(self, connection: Connection, event: Event) -> bool:
        """Append the decision to refuse a job, and return whether it was: not if there are too many refusals."""
        unlisted = self._limit.take()
        if unlisted is None:
            return False
        before = {"not_listed_before": unlisted} if unlisted else {}
        self.append(connection, replace(event, details={**event.details, **before}))
        return True

    def refusal(self, connection: Connection, job_id: str, number: int, details: Details) -> None:
        """Append a refusal, or count it if there are too many."""
        unlisted = self._limit.take()
        if unlisted is None:
            return
        event = Event(
            kind=Kind.REFUSAL, job_id=job_id, round_number=number, details={**details, "not_listed_before": unlisted}
        )
        self.append(connection, event)


class _RefusalLimit:
    """Lets a limited number of refusals be listed at once, and later ones at a steady rate."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = AUDIT_REFUSALS_LISTED
        self._refilled = clock.now()
        self._unlisted = 0

    def take(self) -> int | None:
        """Return the number left out since the last listed one, or ``None`` if this one is left out, too."""
        self._refill()
        if self._left == 0:
            self._unlisted += 1
            return None
        self._left -= 1
        unlisted, self._unlisted = self._unlisted, 0
        return unlisted

    def _refill(self) -> None:
        pace, now = timedelta(seconds=AUDIT_REFUSAL_SECONDS), self._clock.now()
        if now < self._refilled:  # the clock was set back
            self._refilled = now
        if more := (now - self._refilled) // pace:
            self._left = min(self._left + more, AUDIT_REFUSALS_LISTED)
            self._refilled = now


def head(connection: Connection, founder: str) -> Head:
    """Return the last entry's head; of a record without entries ``Head(0, FIRST_PREVIOUS)``."""
    columns = AUDIT.c
    newest = select(columns.sequence, columns.hash).where(columns.founder == founder)
    last = connection.execute(newest.order_by(columns.sequence.desc()).limit(1)).one_or_none()
    return Head(0, FIRST_PREVIOUS) if last is None else Head(last.sequence, last.hash)


def has(connection: Connection, founder: str, kind: Kind, job_id: str) -> bool:
    """Return whether there is an entry of a kind about a job."""
    columns = AUDIT.c
    such = columns.founder == founder, columns.job_id == job_id, columns.kind == kind.value
    return bool(connection.execute(select(func.count()).select_from(AUDIT).where(*such)).scalar_one())


def entries(connection: Connection, founder: str) -> Iterator[Entry]:
    """Yield all entries in their order, unverified; raises ``StorageError`` for one that cannot be read."""
    for row in connection.execute(select(AUDIT).where(AUDIT.c.founder == founder).order_by(AUDIT.c.sequence)):
        yield _entry_of(row)


def entries_of(connection: Connection, founder: str, kind: Kind, job_id: str) -> Iterator[Entry]:
    """Yield the entries of a kind about a job; as ``entries``."""
    columns = AUDIT.c
    such = columns.founder == founder, columns.job_id == job_id, columns.kind == kind.value
    for row in connection.execute(select(AUDIT).where(*such).order_by(columns.sequence)):
        yield _entry_of(row)


def _entry_of(row: Row[Any]) -> Entry:
    try:
        kind = Kind(row.kind)
    except ValueError as cause:
        raise StorageError(f"entry {row.sequence} of the audit record is of an unknown kind: altered") from cause
    values = {name: getattr(row, name) for name in _COPIED}
    # SQLite takes any type in any column.
    if not all(isinstance(values[name], bytes) for name in ("details", "previous", "hash", "signature")):
        raise StorageError(f"entry {row.sequence} of the audit record cannot be read: altered")
    return Entry(kind=kind, round_number=row.number, **values)
