# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The values that the party's store takes and returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from coterie_common.document import Document
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyJob:
    """A job as it was proposed to this party, and the party's decision on it.

    Attributes:
        job_id: the job.
        spec: canonical bytes of its specification; empty if the job was refused, or ended and asked nothing.
        terms: canonical bytes of its terms; empty as above.
        spec_digest: of the specification.
        terms_digest: of the terms.
        decision: accepted, held or refused.
        code: error code of a refusal, or empty.
        detail: its words, or empty.
        dataset: the local data set that is charged.
        outcome: how the job ended; ``None`` while it may go on.
        cost: of all its rounds, for each kind of records, as the accountant writes it; ``None`` if that could not be
            found out.
        proposed_at: when it was proposed first; ``None`` for jobs of older versions.
        decided_at: when the party made its present decision.
    """

    job_id: JobId
    spec: bytes
    terms: bytes
    spec_digest: bytes
    terms_digest: bytes
    decision: Decision
    code: str
    detail: str
    dataset: str
    outcome: JobOutcome | None = None
    cost: Document = None
    proposed_at: datetime | None = field(default=None, compare=False)
    decided_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The steward's decision on a job.

    Attributes:
        is_approved: approved, else refused.
        reason: for a refusal, or empty.
        said_at: when.
    """

    is_approved: bool
    reason: str
    said_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedJob:
    """A job that asked this party at least one round.

    Attributes:
        job_id: the job.
        spec: canonical bytes of its specification.
        cohort: the parties that its first accepted query asked.
        is_own: of the founder that this store is opened for.
    """

    job_id: JobId
    spec: bytes
    cohort: tuple[PartyId, ...]
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedStep:
    """The step of the plan that a query asks, and what the job accepted for asking it again.

    Attributes:
        step: 1-based.
        spare_lines: numbers of the ledger lines that further answers to this step may be charged to.
        spare_rounds: maximum number of further answers, over all steps of the job.
    """

    step: int
    spare_lines: range = range(0)
    spare_rounds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRound:
    """A round that this party accepted a query of.

    Attributes:
        number: of the round.
        step: of the plan.
        is_spare: whether it was charged to a spare line, because an earlier round of the step was abandoned.
        cohort: the number of parties that it asked.
        quorum: m_r, the replies by which its noise is divided; ``None`` if the record does not state it.
    """

    number: int
    step: int
    is_spare: bool
    cohort: int
    quorum: int | None


class ReservationStatus(StrEnum):
    """The status of the privacy cost set aside for a round."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVersion:
    """A file of records as it was when a job was accepted on it, or loaded it.

    Attributes:
        generation: name of the rows' numbering, unchanged since it was drawn; drawn anew when any row may have moved.
        length: in bytes.
        digest: SHA-256 over how rows are read, and then the file's bytes; empty if it could not be read.
    """

    generation: str
    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Reservation:
    """The privacy cost of one planned round.

    Attributes:
        round_number: 1-based.
        cost: as the accountant writes it; the store does not look inside.
        event: what would be released, from which the cost follows.
        records: the kind of the data set's records that are counted: ``all``, ``training`` or ``set-aside``.
        division: name of their division into the two; under another division a line counts for all records.
    """

    round_number: int
    cost: Document
    event: Document = None
    records: str = "all"
    division: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the privacy ledger; spent unless its status is ``RELEASED``.

    Attributes:
        founder: of the federation that asked.
        job_id: the job.
        round_number: 1-based.
        cost: as the accountant writes it.
        status: reserved, spent or given back.
        event: what was released; ``None`` in lines of older versions.
        records: the kind of the data set's records that were counted; all in lines of older versions.
        division: how they were divided then; see ``Reservation``.
        reserved_at: when it was set aside; ``None`` in lines of older versions.
        settled_at: when it was committed or given back; ``None`` while reserved.
    """

    founder: str
    job_id: JobId
    round_number: int
    cost: Document
    status: ReservationStatus
    event: Document = None
    records: str = "all"
    division: str = ""
    reserved_at: datetime | None = field(default=None, compare=False)
    settled_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTranscript:
    """The one transcript of a round that this party opens.

    Attributes:
        session_id: of its round.
        digest: of the transcript.
        total: bytes of the sum's ciphertexts, as the caller wrote them.
        contributors: the number of replies in the sum.
        step: of the plan.
    """

    session_id: bytes
    digest: bytes
    total: bytes
    contributors: int
    step: int
