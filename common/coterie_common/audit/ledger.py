# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The privacy ledger in the record: the cost that a party set aside for each job, so that it cannot be lowered unseen.

An acceptance names the digest of all lines that it reserves; the entries after it hold the lines. The status of each
follows from the rest of the record: spent once its query was accepted, given back if the job ended before. So a party's
ledger can be derived from its record, and a database that differs from it was changed.

Consecutive lines with the same cost and event are written once, as a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from coterie_common import document
from coterie_common.audit.chain import Finding
from coterie_common.audit.entry import Details, Entry, Kind
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.document import Document
from coterie_common.errors import MalformedMessage
from coterie_common.limits import AUDIT_LEDGER_BYTES, MAX_LEDGER_LINES

ACCEPTED: Final = "accepted"
"""The decision that reserves lines."""

_ALL: Final = "all"


class LineStatus(StrEnum):
    """The status of a line."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Line:
    """The cost of one step of a job, or of a spare round.

    Attributes:
        number: of the step; behind the steps, spare lines are numbered on.
        cost: as the accountant writes it.
        event: the release; ``None`` in lines of earlier versions.
        records: the records of the data set that are counted; all in lines of earlier versions.
        division: the division of the records at that time.
    """

    number: int
    cost: Document
    event: Document
    records: str = _ALL
    division: str = ""

    @property
    def is_of_all(self) -> bool:
        """True if it counts all records, as every line of earlier versions did."""
        return (self.records, self.division) == (_ALL, "")


@dataclass(frozen=True, slots=True)
class RecordedLine:
    """A line in the record.

    Attributes:
        dataset: the charged data set.
        line: the cost.
        status: of the line.
        reserved_at: time at which its job was accepted; ``None`` if unknown.
        settled_at: time at which its query was accepted or its job ended; ``None`` before, or if unknown.
    """

    dataset: str
    line: Line
    status: LineStatus
    reserved_at: datetime | None = field(default=None, compare=False)
    settled_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RecordedLedger:
    """The ledger that follows from a record.

    Attributes:
        lines: job and round → line.
        unrecorded: jobs accepted before the record held the ledger; their lines are missing.
        findings: contradictions within the record.
    """

    lines: Mapping[tuple[str, int], RecordedLine]
    unrecorded: frozenset[str]
    findings: tuple[Finding, ...]


def ledger_digest(dataset: str, lines: Iterable[Line]) -> bytes:
    """Return the digest by which an acceptance names the lines that it reserves."""
    return tuple_hash(Label.AUDIT_LEDGER, dataset, document.encode(list(_runs(lines))))


def ledger_details(dataset: str, lines: Iterable[Line]) -> tuple[Details, ...]:
    """Return the details of the entries that hold the lines of a job, in their order."""
    parts: list[list[Document]] = []
    size = 0
    for run in _runs(lines):
        taken = len(document.encode(run))
        if not parts or size + taken > AUDIT_LEDGER_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(run)
        size += taken
    return tuple({"dataset": dataset, "lines": part} for part in parts)


def recorded_ledger(entries: Iterable[Entry]) -> RecordedLedger:
    """Derive the ledger from a whole record, whose chain was verified."""
    jobs: dict[str, _Job] = {}
    for entry in entries:
        job = jobs.setdefault(entry.job_id, _Job())
        match entry.kind:
            case Kind.DECISION:
                facts = entry.facts
                if facts.get("decision") == ACCEPTED:
                    job.accepted, job.named = entry.sequence, facts.get("ledger")
                    job.reserved_at = entry.moment
            case Kind.LEDGER if entry.job_id:  # otherwise it concerns lines of other ledgers
                job.take(entry)
            case Kind.QUERY:
                job.ask(entry)
            case Kind.JOB_END:
                job.is_over, job.ended_at = True, entry.moment
    lines = {(job_id, each.line.number): each for job_id, job in jobs.items() for each in job.lines()}
    unrecorded = {job_id for job_id, job in jobs.items() if job.accepted and job.named is None and not job.reserved}
    findings = tuple(finding for job_id, job in jobs.items() for finding in job.findings(job_id))
    return RecordedLedger(lines, frozenset(unrecorded), findings)


class _Job:
    """The record's entries about one job."""

    def __init__(self) -> None:
        self.accepted = 0
        self.named: Any = None
        self.dataset = ""
        self.reserved: list[Line] = []
        self.unreadable = 0
        self.reserved_at: datetime | None = None
        # Line → when it was charged, and the step of the plan whose price it was charged.
        self.asked: dict[int, tuple[datetime | None, int]] = {}
        self.is_over = False
        self.ended_at: datetime | None = None

    def take(self, entry: Entry) -> None:
        try:
            facts = entry.facts
            self.reserved += _expanded(facts.get("lines"))
            self.dataset = str(facts.get("dataset"))
        except MalformedMessage:
            self.unreadable = entry.sequence

    def ask(self, entry: Entry) -> None:
        try:
            facts = entry.facts
        except MalformedMessage:  # altered: ``audit verify`` names it
            facts = {}
        # Where the entry does not say otherwise, all three numbers are the same.
        line, step = (
            number if type(number := facts.get(name)) is int else entry.round_number for name in ("line", "plan_step")
        )
        self.asked.setdefault(line, (entry.moment, step))

    def lines(self) -> Iterator[RecordedLine]:
        own = {line.number: line for line in self.reserved}
        for line in self.reserved:
            status, settled_at = (LineStatus.RELEASED if self.is_over else LineStatus.RESERVED), self.ended_at
            if line.number in self.asked:
                status = LineStatus.COMMITTED
                settled_at, step = self.asked[line.number]
                # A spare line takes the price of the step that it was charged for.
                line = replace(own.get(step, line), number=line.number)
            yield RecordedLine(self.dataset, line, status, self.reserved_at, settled_at)

    def findings(self, job_id: str) -> Iterator[Finding]:
        if self.unreadable:
            yield Finding(self.unreadable, f"the ledger of job {job_id} in the record cannot be read")
        elif self.named is not None and self.named != ledger_digest(self.dataset, self.reserved).hex():
            yield Finding(
                self.accepted,
                f"missing, or cut off: the ledger of job {job_id} in the record is not what it was accepted with",
            )


def _runs(lines: Iterable[Line]) -> Iterator[list[Document]]:
    """Yield [first round, last round, cost, event], and records and division unless all are counted."""
    run: list[Any] = []
    for line in lines:
        what = [line.cost, line.event, *(() if line.is_of_all else (line.records, line.division))]
        if run and run[1] + 1 == line.number and run[2:] == what:
            run[1] = line.number
            continue
        if run:
            yield run
        run = [line.number, line.number, *what]
    if run:
        yield run


def _expanded(runs: Any) -> list[Line]:
    """Return the lines of runs; raises ``MalformedMessage``."""
    lines: list[Line] = []
    for run in runs if isinstance(runs, list) else [None]:
        if not isinstance(run, list) or len(run) not in (4, 6) or not _are_rounds(run[:2]):
            raise MalformedMessage(
                "lines of the ledger in the record must be [first, last, cost, event] or also have records and division"
            )
        if not all(isinstance(text, str) for text in run[4:]):
            raise MalformedMessage("records and division of lines in the record must be text")
        first, last, *what = run
        lines += (Line(number, *what) for number in range(first, last + 1))
    return lines


def _are_rounds(ends: Sequence[Any]) -> bool:
    return all(type(end) is int for end in ends) and 1 <= ends[0] <= ends[1] <= MAX_LEDGER_LINES
