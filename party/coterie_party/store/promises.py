# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The check that the audit record agrees with everything that a party keeps for ever.

An act and its entry are written in one transaction, so in an untouched database neither exists without the other. If
one is missing, somebody removed it: an entry at the end of the record, which the chain alone would not show, or a
promise, so that the party would answer twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, select

from coterie_common import document
from coterie_common.audit.chain import Finding
from coterie_common.audit.entry import Details, Entry, Kind
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.document import Document
from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_party.store.records import PartyJob
from coterie_party.store.rounds import COHORT_BYTES
from coterie_party.store.tables import ACCEPTANCES, ASKED_STEPS, JOBS, PARTIALS, REPLIES, TRANSCRIPTS

_KEPT: Final = (Kind.DECISION, Kind.JOB_END, Kind.QUERY, Kind.REPLY, Kind.DECRYPTION, Kind.PARTIAL)
_WORDS: Final = {
    Kind.DECISION: "decision",
    Kind.JOB_END: "end",
    Kind.QUERY: "accepted query",
    Kind.REPLY: "reply",
    Kind.DECRYPTION: "transcript",
    Kind.PARTIAL: "partial decryption",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """An act that is kept for ever, in the form that its entry must have."""

    kind: Kind
    job_id: str
    number: int
    facts: Details

    @property
    def key(self) -> tuple[Kind, str, int]:
        """Of several entries with the same key the last one counts."""
        return self.kind, self.job_id, self.number

    def __str__(self) -> str:
        of = f"round {self.number} of job {self.job_id}" if self.number else f"job {self.job_id}"
        return f"the {_WORDS[self.kind]} of {of}"


# For each kind of act, the details that the store itself vouches for.


def decision(job: PartyJob | Row[Any]) -> dict[str, Document]:
    """A decision on a job, which may be a row of the table of jobs."""
    return {
        "decision": str(job.decision),
        "code": job.code,
        "detail": job.detail,
        "dataset": job.dataset,
        "spec_digest": job.spec_digest.hex(),
        "terms_digest": job.terms_digest.hex(),
    }


def job_end(outcome: JobOutcome) -> dict[str, Document]:
    """The end of a job."""
    return {"outcome": outcome.value}


def query(session_id: bytes, cohort: Sequence[PartyId], line: int | None = None) -> dict[str, Document]:
    """A query that was accepted; ``line`` of the ledger is stated where it is not that of the round's number."""
    charged: dict[str, Document] = {} if line is None else {"line": line}
    return {"session_id": session_id.hex(), "cohort": list(cohort), **charged}


def reply(digest: bytes) -> dict[str, Document]:
    """A reply that is ready to be sent."""
    return {"contribution_digest": digest.hex()}


def decryption(session_id: bytes, transcript_digest: bytes) -> dict[str, Document]:
    """A transcript that this party helps to open."""
    return {"session_id": session_id.hex(), "transcript_digest": transcript_digest.hex()}


def partial(data: bytes) -> dict[str, Document]:
    """A partial decryption that is ready to be sent."""
    return {"message_digest": tuple_hash(Label.AUDIT_MESSAGE, data).hex()}


def gaps(entries: Iterable[Entry], promises: Iterable[Promise]) -> tuple[Finding, ...]:
    """Compare a record with everything that is kept for ever.

    Args:
        entries: the whole record.
        promises: everything that is kept.

    Returns:
        Acts that are kept but not in the record, or differ from the record, or are in the record but not kept.
    """
    recorded: dict[tuple[Kind, str, int], Entry] = {}
    for entry in entries:
        if entry.kind in _KEPT:
            # Of several decisions on a job the last one stands.
            recorded[entry.kind, entry.job_id, entry.round_number] = entry
    findings = []
    for promise in promises:
        found = recorded.pop(promise.key, None)
        if found is None:
            findings.append(Finding(0, f"missing, or cut off: {promise} is kept, but not in the record"))
        elif not _says(found, promise.facts):
            findings.append(Finding(found.sequence, f"{promise} is kept otherwise than the record says"))
    refused = {job_id for (kind, job_id, _), entry in recorded.items() if kind is Kind.DECISION and _is_refusal(entry)}
    for (kind, job_id, _), entry in recorded.items():
        if kind in (Kind.DECISION, Kind.JOB_END) and job_id in refused:
            # Refused jobs are forgotten in the end; nothing was promised by it.
            continue
        gone = Promise(entry.kind, entry.job_id, entry.round_number, {})
        findings.append(Finding(entry.sequence, f"{gone} is in the record, but not kept any more"))
    return tuple(findings)


def _is_refusal(entry: Entry) -> bool:
    return _says(entry, {"decision": Decision.REFUSED.value})


def _says(entry: Entry, facts: Details) -> bool:
    try:
        return facts.items() <= entry.facts.items()
    except MalformedMessage:
        return False


def kept(connection: Connection, founder: str) -> Iterator[Promise]:
    """Yield everything that is kept for ever."""
    for job in connection.execute(select(JOBS).where(JOBS.c.founder == founder)):
        yield Promise(Kind.DECISION, job.job_id, 0, decision(job))
        if job.outcome is not None:
            yield Promise(Kind.JOB_END, job.job_id, 0, job_end(JobOutcome(job.outcome)))
    charged = (ACCEPTANCES.c[name] == ASKED_STEPS.c[name] for name in ("founder", "job_id", "number"))
    accepted = select(ACCEPTANCES, ASKED_STEPS.c.line).outerjoin(ASKED_STEPS, and_(*charged))
    for row in connection.execute(accepted.where(ACCEPTANCES.c.founder == founder)):
        cohort = document.decode(row.cohort, "a recorded cohort", maximum=COHORT_BYTES)
        line = None if row.line == row.number else row.line
        yield Promise(Kind.QUERY, row.job_id, row.number, query(row.session_id, cohort, line))
    replies = select(REPLIES.c.job_id, REPLIES.c.number, REPLIES.c.digest).where(REPLIES.c.founder == founder)
    for row in connection.execute(replies):
        yield Promise(Kind.REPLY, row.job_id, row.number, reply(row.digest))
    columns = TRANSCRIPTS.c
    opened = select(columns.job_id, columns.number, columns.session_id, columns.digest)
    for row in connection.execute(opened.where(columns.founder == founder)):
        yield Promise(Kind.DECRYPTION, row.job_id, row.number, decryption(row.session_id, row.digest))
    for row in connection.execute(select(PARTIALS).where(PARTIALS.c.founder == founder)):
        yield Promise(Kind.PARTIAL, row.job_id, row.number, partial(row.data))
