# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The permanent facts of one round, inside a transaction of the store. The first write wins, in every method.

This is the last gate: it refuses a second query, reply or transcript even if everything above it failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, and_, func, insert, select

from coterie_common import document
from coterie_common.audit.entry import Entry, Kind
from coterie_common.errors import AlreadyAnswered, BudgetExhausted, MalformedMessage, StateError, StorageError
from coterie_common.identifiers import JobId, PartyId
from coterie_party.round import PartyRound, Phase
from coterie_party.store import audit
from coterie_party.store.ledger import ledger
from coterie_party.store.records import AskedJob, AskedRound, AskedStep, RecordedTranscript
from coterie_party.store.tables import ACCEPTANCES, ASKED_STEPS, JOBS, PARTIALS, REPLIES, TRANSCRIPTS

COHORT_BYTES: Final = 1 << 16
"""Ids of the most parties that a federation may have."""


def asked_jobs(connection: Connection, founder: str, dataset: str) -> tuple[AskedJob, ...]:
    """Return the jobs of all founders that asked a data set at least one round; raises ``StorageError``."""
    first = select(ACCEPTANCES.c.founder, ACCEPTANCES.c.job_id, func.min(ACCEPTANCES.c.number).label("number"))
    firsts = first.group_by(ACCEPTANCES.c.founder, ACCEPTANCES.c.job_id).subquery()
    asked = select(JOBS.c.founder, JOBS.c.job_id, JOBS.c.spec, ACCEPTANCES.c.cohort).where(
        JOBS.c.dataset == dataset,
        *(table.c.founder == firsts.c.founder for table in (JOBS, ACCEPTANCES)),
        *(table.c.job_id == firsts.c.job_id for table in (JOBS, ACCEPTANCES)),
        ACCEPTANCES.c.number == firsts.c.number,
    )
    return tuple(
        AskedJob(
            job_id=JobId(row.job_id),
            spec=row.spec,
            cohort=cohort_of(row.cohort, row.job_id),
            is_own=row.founder == founder,
        )
        for row in connection.execute(asked.order_by(JOBS.c.sequence))
    )


def asked_rounds(connection: Connection, founder: str, job_id: JobId) -> tuple[AskedRound, ...]:
    """Return the rounds of a job that this party accepted a query of, in order; raises ``StorageError``."""
    quorums = {
        entry.round_number: _recorded_quorum(entry)
        for entry in audit.entries_of(connection, founder, Kind.QUERY, job_id)
    }
    columns, cohorts = ASKED_STEPS.c, ACCEPTANCES.c
    same = and_(*(columns[name] == cohorts[name] for name in ("founder", "job_id", "number")))
    asked = select(columns.number, columns.step, columns.line, cohorts.cohort).join(ACCEPTANCES, same)
    of_job = columns.founder == founder, columns.job_id == job_id
    return tuple(
        AskedRound(
            number=row.number,
            step=row.step,
            is_spare=row.line != row.step,
            cohort=len(cohort_of(row.cohort, job_id)),
            quorum=quorums.get(row.number),
        )
        for row in connection.execute(asked.where(*of_job).order_by(columns.number))
    )


def _recorded_quorum(entry: Entry) -> int | None:
    """Return the quorum that a recorded query states; ``None`` if it states none; raises ``StorageError``."""
    try:
        quorum = entry.facts.get("round_quorum")
    except MalformedMessage as cause:
        raise StorageError(f"entry {entry.sequence} of the audit record cannot be read: {cause}") from cause
    return quorum if type(quorum) is int else None


def cohort_of(data: bytes, job_id: str) -> tuple[PartyId, ...]:
    """Read a recorded cohort; raises ``StorageError``."""
    try:
        return tuple(document.decode(data, "a recorded cohort", maximum=COHORT_BYTES))
    except MalformedMessage as cause:
        raise StorageError(f"the cohort of job {job_id} cannot be read: {cause}") from cause


class RoundRecord:
    """The facts of one round, under (founder, job, round)."""

    def __init__(self, connection: Connection, founder: str, job_id: JobId, number: int) -> None:
        self._connection = connection
        self._founder = founder
        self._job_id = job_id
        self._number = number

    def state(self) -> PartyRound:
        """Return the state that follows from the facts."""
        accepted, replied, opened = (self._row(table) for table in (ACCEPTANCES, REPLIES, TRANSCRIPTS))
        if opened is not None:
            phase = Phase.OPENING if self._row(PARTIALS) is None else Phase.OPENED
        elif replied is not None:
            phase = Phase.ANSWERED
        else:
            phase = Phase.NEW if accepted is None else Phase.ANSWERING
        session = accepted or opened
        return PartyRound(
            phase=phase,
            session_id=None if session is None else session.session_id,
            contribution_digest=None if replied is None else replied.digest,
            transcript_digest=None if opened is None else opened.digest,
        )

    def accept(self, session_id: bytes, cohort: Sequence[PartyId], asked: AskedStep, now: datetime) -> int | None:
        """Bind the round to a query and commit its cost; returns the line that is charged, ``None`` if nothing is new.

        Privacy: the first answer to a step is charged to the step's own line, every further one to a spare line, at the
            price of the step. So no step is answered more often than the ledger has lines for.
        """
        accepted = self._row(ACCEPTANCES)
        if accepted is not None:
            if accepted.session_id != session_id:
                raise self._refusal("this party accepted another query")
            return None
        self._check_not_opened()
        line = self._line(asked)
        ledger.commit(self._connection, self._founder, self._job_id, line, now, priced_as=asked.step)
        self._insert(ACCEPTANCES, session_id=session_id, cohort=document.encode(list(cohort)))
        self._insert(ASKED_STEPS, step=asked.step, line=line)
        return line

    def _line(self, asked: AskedStep) -> int:
        """Return the line of the ledger that an answer to this step is charged to; raises ``BudgetExhausted``."""
        columns = ASKED_STEPS.c
        of_job = columns.founder == self._founder, columns.job_id == self._job_id
        before = self._connection.execute(select(columns.step, columns.line).where(*of_job)).all()
        steps, lines = {row.step for row in before}, {row.line for row in before}
        if asked.step not in steps:
            return asked.step
        again = f"step {asked.step} of job {self._job_id} was answered before"
        if len(before) - len(steps) >= asked.spare_rounds:
            raise BudgetExhausted(f"{again}, and the job's {asked.spare_rounds} spare rounds are used")
        free = next((line for line in asked.spare_lines if line not in lines), None)
        if free is None:
            raise BudgetExhausted(f"{again}, and its {len(asked.spare_lines)} spare rounds are used")
        return free

    def keep_reply(self, digest: bytes, data: bytes) -> bool:
        """Keep the one reply; returns whether it is new."""
        if self._row(ACCEPTANCES) is None:
            raise StateError(f"round {self._number} of job {self._job_id} is answered without an accepted query")
        replied = self._row(REPLIES)
        if replied is not None:
            if replied.digest != digest:
                raise self._refusal("this party sent another reply")
            return False
        self._check_not_opened()
        self._insert(REPLIES, digest=digest, data=data)
        return True

    @property
    def is_answered(self) -> bool:
        """Whether a reply was kept, its bytes deleted or not."""
        return self._row(REPLIES) is not None

    def reply(self) -> bytes | None:
        """Return the reply's bytes; ``None`` if there are none (any more)."""
        replied = self._row(REPLIES)
        return None if replied is None else replied.data

    def open(self, transcript: RecordedTranscript) -> bool:
        """Bind the round to a transcript; returns whether that is new."""
        opened, accepted = self._row(TRANSCRIPTS), self._row(ACCEPTANCES)
        if opened is not None:
            if (opened.session_id, opened.digest) != (transcript.session_id, transcript.digest):
                raise self._refusal("this party helps to open another transcript")
            return False
        if accepted is not None and accepted.session_id != transcript.session_id:
            raise self._refusal("the transcript is of another query than the one this party accepted")
        self._insert(
            TRANSCRIPTS,
            session_id=transcript.session_id,
            digest=transcript.digest,
            total=transcript.total,
            contributors=transcript.contributors,
            step=transcript.step,
        )
        return True

    def transcript(self) -> RecordedTranscript | None:
        """Return the transcript that the round is bound to."""
        row = self._row(TRANSCRIPTS)
        if row is None:
            return None
        return RecordedTranscript(
            session_id=row.session_id,
            digest=row.digest,
            total=row.total,
            contributors=row.contributors,
            step=row.step,
        )

    def keep_partial(self, data: bytes) -> bool:
        """Keep the one partial decryption; returns whether it is new."""
        if self._row(TRANSCRIPTS) is None:
            raise StateError(f"round {self._number} of job {self._job_id} is decrypted without a recorded transcript")
        kept = self._row(PARTIALS)
        if kept is None:
            self._insert(PARTIALS, data=data)
        elif kept.data != data:
            raise self._refusal("this party sent another partial decryption")
        return kept is None

    def partial(self) -> bytes | None:
        """Return the partial decryption."""
        kept = self._row(PARTIALS)
        return None if kept is None else kept.data

    def _row(self, table: Table) -> Row[Any] | None:
        columns = table.c
        key = columns.founder == self._founder, columns.job_id == self._job_id, columns.number == self._number
        return self._connection.execute(select(table).where(*key)).one_or_none()

    def _insert(self, table: Table, **values: object) -> None:
        key = {"founder": self._founder, "job_id": self._job_id, "number": self._number}
        self._connection.execute(insert(table).values(**key, **values))

    def _check_not_opened(self) -> None:
        """A reply that comes after the sum was fixed can only be of use to an attacker."""
        if self._row(TRANSCRIPTS) is not None:
            raise self._refusal("it was opened without this party, which does not answer any more")

    def _refusal(self, why: str) -> AlreadyAnswered:
        return AlreadyAnswered(f"round {self._number} of job {self._job_id}: {why}")
