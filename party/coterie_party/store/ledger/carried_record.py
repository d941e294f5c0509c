# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Carried lines and the audit record: each line enters the record at the daemon's next start; its loss then shows.

An import needs no password, so it cannot sign. Until the next start nothing in the record shows that lines were added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from coterie_common.audit.chain import Finding
from coterie_common.audit.entry import Entry, Event, Kind
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.document import Document
from coterie_common.errors import MalformedMessage
from coterie_party.store import audit
from coterie_party.store.audit import Recorder
from coterie_party.store.records import ReservationStatus
from coterie_party.store.tables import CARRIED

_LINES_IN_ENTRY: Final = 32
"""A line takes some 300 bytes."""

_Place = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class CarriedLine:
    """The record's view of a line.

    Attributes:
        status: spent or given back.
        settled_at: the time, in ISO 8601; empty where it is not known.
        digest: of everything else.
    """

    status: str
    settled_at: str
    digest: str


def append_new(connection: Connection, recorder: Recorder) -> None:
    """Add to the record the carried lines that it does not have yet, or has as given back."""
    founder = recorder.owner.founder
    try:
        recorded = _recorded(audit.entries_of(connection, founder, Kind.LEDGER, ""))
    except MalformedMessage:  # altered: ``audit verify`` names it
        return
    new: list[Document] = [
        [*place, line.status, line.settled_at, line.digest]
        for place, line in kept(connection).items()
        if place not in recorded or _is_more(recorded[place], line)
    ]
    for first in range(0, len(new), _LINES_IN_ENTRY):
        recorder.append(connection, Event(kind=Kind.LEDGER, details={"carried": new[first : first + _LINES_IN_ENTRY]}))


def kept(connection: Connection) -> dict[_Place, CarriedLine]:
    """Return the carried lines as the database has them, of all data sets and founders."""
    rows = connection.execute(
        select(CARRIED).order_by(CARRIED.c.founder, CARRIED.c.job_id, CARRIED.c.number, CARRIED.c.accepted)
    )
    return {
        (row.founder, row.job_id, row.number, row.accepted): CarriedLine(
            row.status, _text(row.settled_at), _digest(row).hex()
        )
        for row in rows
    }


def gaps(entries: Iterable[Entry], kept: Mapping[_Place, CarriedLine]) -> tuple[Finding, ...]:
    """Return the lines that, according to the record, were carried here, and that are gone or cost less."""
    try:
        recorded = _recorded(entry for entry in entries if entry.kind is Kind.LEDGER and not entry.job_id)
    except MalformedMessage as cause:
        return (Finding(0, f"the lines that were imported cannot be read in the record: {cause.message}"),)
    found = []
    for place, line in recorded.items():
        now, what = kept.get(place), f"the imported ledger line of round {place[2]} of job {place[1]}"
        if now is None:
            found.append(
                Finding(0, f"{what} is in the record, but not kept any more: what was spent would count as left")
            )
        elif now != line and not _is_more(line, now):
            found.append(Finding(0, f"{what} is kept otherwise than the record says"))
    return tuple(found)


def _is_more(before: CarriedLine, now: CarriedLine) -> bool:
    """Return whether a later import stated that a line which was given back is spent."""
    released = ReservationStatus.RELEASED.value
    return before.status == released != now.status and before.digest == now.digest


def _recorded(entries: Iterable[Entry]) -> dict[_Place, CarriedLine]:
    """Return the lines that entries hold, the last word on each; raises ``MalformedMessage``."""
    found: dict[_Place, CarriedLine] = {}
    for entry in entries:
        lines = entry.facts.get("carried")
        for line in lines if isinstance(lines, list) else [None]:
            if not isinstance(line, list) or list(map(type, line)) != [str, str, int, str, str, str, str]:
                raise MalformedMessage(f"entry {entry.sequence} holds no carried lines")
            founder, job_id, number, accepted, *what = line
            found[founder, job_id, number, accepted] = CarriedLine(*what)
    return found


def _digest(row: Row[Any]) -> bytes:
    what = row.dataset, row.cost, row.event, row.records, row.division, _text(row.reserved_at)
    return tuple_hash(Label.AUDIT_LEDGER, *what)


def _text(time: datetime | None) -> str:
    return "" if time is None else time.isoformat()
