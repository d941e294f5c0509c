# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's ledger and its record: lines enter both in one transaction, and neither can be changed alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from coterie_common.audit.chain import Finding
from coterie_common.audit.entry import Details, Entry, Event, Kind
from coterie_common.audit.ledger import ACCEPTED, Line, RecordedLine, ledger_details, ledger_digest, recorded_ledger
from coterie_common.audit.ledger import LineStatus as Status
from coterie_common.errors import MalformedMessage
from coterie_party.store import audit
from coterie_party.store.audit import Recorder
from coterie_party.store.ledger import ledger
from coterie_party.store.records import Reservation
from coterie_party.store.tables import AUDIT, LEDGER

_TRANSACTION: Final = timedelta(minutes=1)
"""Earlier versions read the clock for the line and once more for its entry."""


def digest(dataset: str, reservations: Sequence[Reservation]) -> str:
    """Return the digest of the reserved lines that an acceptance's entry names, in hexadecimal."""
    return ledger_digest(dataset, map(_line, reservations)).hex()


def details(dataset: str, reservations: Sequence[Reservation]) -> tuple[Details, ...]:
    """Return the details of the entries that hold the lines of a job, after the one about its acceptance."""
    return ledger_details(dataset, map(_line, reservations))


def append_older(connection: Connection, recorder: Recorder) -> None:
    """Add to the record the lines reserved by versions whose record did not contain them.

    Only for jobs whose own acceptance entry names no lines: if it names lines and they are gone, somebody removed them.
    """
    founder = recorder.owner.founder
    known = select(AUDIT.c.job_id).where(AUDIT.c.founder == founder, AUDIT.c.kind == Kind.LEDGER.value)
    lines = select(LEDGER.c.job_id).where(LEDGER.c.founder == founder, LEDGER.c.job_id.not_in(known))
    for job_id in connection.execute(lines.distinct().order_by(LEDGER.c.job_id)).scalars().all():
        if _is_older(audit.entries_of(connection, founder, Kind.DECISION, job_id)):
            dataset, reservations = ledger.reserved(connection, founder, job_id)
            for lines_of_job in details(dataset, reservations):
                recorder.append(connection, Event(kind=Kind.LEDGER, job_id=job_id, details=lines_of_job))


def kept(connection: Connection, founder: str) -> dict[tuple[str, int], RecordedLine]:
    """Return the ledger as the database has it: job and round → line.

    Without lines that were carried here: those are in the record of the machine that reserved them.
    """
    return {
        (entry.job_id, entry.round_number): RecordedLine(
            dataset,
            Line(entry.round_number, entry.cost, entry.event, entry.records, entry.division),
            Status(entry.status.value),
            entry.reserved_at,
            entry.settled_at,
        )
        for dataset, entry in ledger.own_entries(connection, founder)
    }


def founders(connection: Connection) -> tuple[str, ...]:
    """Return the founders in whose federations this party spent anything."""
    return tuple(connection.execute(select(LEDGER.c.founder).distinct().order_by(LEDGER.c.founder)).scalars())


def gaps(entries: Sequence[Entry], kept: Mapping[tuple[str, int], RecordedLine]) -> tuple[Finding, ...]:
    """Return the differences between the ledger in the database and the one that follows from the record."""
    recorded = recorded_ledger(entries)
    by_job: dict[str, list[tuple[int, str]]] = {}
    for place in sorted(recorded.lines.keys() | kept.keys()):
        if (what := _difference(recorded.lines.get(place), kept.get(place))) and place[0] not in recorded.unrecorded:
            by_job.setdefault(place[0], []).append((place[1], what))
    found = [
        Finding(0, f"the ledger's line of round {lines[0][0]} of job {job_id} {lines[0][1]}{_more(len(lines) - 1)}")
        for job_id, lines in by_job.items()
    ]
    older = [
        Finding(
            0,
            f"the ledger of job {job_id} was reserved by an earlier version and is not in the record yet: start the "
            "daemon once, and it will be",
        )
        for job_id in sorted(recorded.unrecorded & {job_id for job_id, _ in kept})
    ]
    return (*recorded.findings, *found, *older)


def _difference(recorded: RecordedLine | None, kept: RecordedLine | None) -> str:
    if recorded is not None and recorded == kept:
        times = (recorded.reserved_at, kept.reserved_at), (recorded.settled_at, kept.settled_at)
        return "" if all(map(_is_one_time, times)) else "is kept with another time than the record says"
    if kept is None:
        return "is in the record, but not kept any more: what was spent would count as left"
    if recorded is None:
        return "is kept, but not in the record: missing, or cut off"
    if (recorded.dataset, recorded.line) != (kept.dataset, kept.line):
        return "is kept otherwise than the record says"
    return f"is kept as {kept.status.value}, but by the record it is {recorded.status.value}"


def _is_one_time(times: tuple[datetime | None, datetime | None]) -> bool:
    """Return whether a line and an entry are of one transaction; always true for versions that kept no times."""
    recorded, kept = times
    return recorded is None or kept is None or abs(recorded - kept) <= _TRANSACTION


def _more(count: int) -> str:
    return f"; so are {count} more" if count else ""


def _is_older(decisions: Iterable[Entry]) -> bool:
    try:
        accepted = [facts for facts in (entry.facts for entry in decisions) if facts.get("decision") == ACCEPTED]
    except MalformedMessage:  # altered: ``audit verify`` names it
        return False
    return bool(accepted) and "ledger" not in accepted[-1]


def _line(reservation: Reservation) -> Line:
    return Line(
        reservation.round_number, reservation.cost, reservation.event, reservation.records, reservation.division
    )
