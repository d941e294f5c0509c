# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A ledger reconstructed from the party's own signed record, for a machine that was lost with its ledger.

A record states the cost of each round of a job and its status, but not the secret that divided the data: its lines
count for all records. Rounds asked after the record was exported are not in it.

Invariant: nothing in a record is taken unless all of it verifies as this party's own, and it has a cost for everything
that may have been spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from coterie_common.audit.chain import Finding
from coterie_common.audit.entry import Entry, Kind, Owner
from coterie_common.audit.ledger import ACCEPTED, RecordedLedger, RecordedLine, recorded_ledger
from coterie_common.audit.page import read_record
from coterie_common.errors import ConfigurationError, CoterieError, MalformedMessage
from coterie_common.identifiers import JobId
from coterie_common.privacy.accounting.cost import Cost
from coterie_common.privacy.event import event_from_document
from coterie_party.steward.ledger_file import LedgerFile
from coterie_party.store.records import LedgerEntry, ReservationStatus

_MAX_NAMED: Final = 5


def ledger_of_record(path: Path, data: bytes, owner: Owner) -> LedgerFile:
    """Return the ledger that follows from an exported record.

    Args:
        path: of the file that was read, for errors.
        data: the exported record, as JSON or as a page.
        owner: the party that it must belong to, by the founder that the party pins.

    Raises:
        ConfigurationError: it is no record, not whole, another party's, or lacks the cost of a job.
        IdentityMismatch: it is of another founder's federation.
        InvalidSignature: its roster is not signed by the founder.
        NotInCohort: its roster has no such party.
    """
    try:
        export = read_record(data)
    except MalformedMessage as cause:
        raise ConfigurationError(f"{path} is no exported record, or was altered: {cause.message}") from cause
    if export.party_id != owner.party_id:
        raise ConfigurationError(
            f"{path} is the record of {export.party_id}, and this is the folder of {owner.party_id}: the "
            "ledger of another party does not apply to these data"
        )
    _check_whole(path, export.verify(owner.founder))
    recorded = recorded_ledger(export.entries)
    _check_whole(path, recorded.findings)
    _check_complete(path, export.entries, recorded)
    accepted = _accepted(export.entries)
    lines: dict[str, list[LedgerEntry]] = {}
    for (job_id, _), line in recorded.lines.items():
        lines.setdefault(line.dataset, []).append(_entry(path, owner.founder, job_id, line, accepted.get(job_id)))
    return LedgerFile({name: tuple(entries) for name, entries in lines.items()}, {})


def _check_whole(path: Path, findings: Sequence[Finding]) -> None:
    if findings:
        more = f"; and {len(findings) - 1} more, see 'coterie-party audit verify'" if len(findings) > 1 else ""
        raise ConfigurationError(f"nothing of the record {path} is taken, for it is not whole: {findings[0]}{more}")


def _check_complete(path: Path, entries: Sequence[Entry], recorded: RecordedLedger) -> None:
    asked = {(entry.job_id, entry.round_number) for entry in entries if entry.kind is Kind.QUERY}
    over = {entry.job_id for entry in entries if entry.kind is Kind.JOB_END}
    lacking = {job_id for job_id, _ in asked - recorded.lines.keys()} | (recorded.unrecorded - over)
    if lacking:
        named = ", ".join(sorted(lacking)[:_MAX_NAMED])
        more = f" and {len(lacking) - _MAX_NAMED} more" if len(lacking) > _MAX_NAMED else ""
        raise ConfigurationError(
            f"the record {path} does not say what the job {named}{more} cost: an earlier version accepted it. Import "
            "what 'coterie-party ledger export' wrote instead; where there is no such file, lower the budgets in "
            "policy.toml by what was asked"
        )


def _accepted(entries: Sequence[Entry]) -> dict[str, datetime]:
    """Return the time at which each job was accepted, and so its lines reserved."""
    decisions = [entry for entry in entries if entry.kind is Kind.DECISION]
    return {
        entry.job_id: datetime.fromisoformat(entry.time)
        for entry in decisions
        if entry.facts.get("decision") == ACCEPTED
    }


def _entry(path: Path, founder: str, job_id: str, line: RecordedLine, accepted: datetime | None) -> LedgerEntry:
    try:
        Cost.from_document(line.line.cost)
        if line.line.event is not None:
            event_from_document(line.line.event)
    except CoterieError as cause:
        raise ConfigurationError(
            f"the record {path} does not say what round {line.line.number} of job {job_id} cost in a form that this "
            f"version can read: {cause.message}"
        ) from cause
    return LedgerEntry(
        founder=founder,
        job_id=JobId(job_id),
        round_number=line.line.number,
        cost=line.line.cost,
        status=ReservationStatus(line.status.value),
        event=line.line.event,
        reserved_at=accepted,
    )
