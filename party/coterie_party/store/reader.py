# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading the party's durable state: each question is a transaction of its own, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, func, select

from coterie_common.host.database import transaction
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.verification.query import OpenedRound
from coterie_party.round import PartyRound
from coterie_party.store import data_versions, rulings
from coterie_party.store.job_rows import job_of
from coterie_party.store.ledger import ledger
from coterie_party.store.records import (
    AskedJob,
    AskedRound,
    DataVersion,
    LedgerEntry,
    PartyJob,
    RecordedTranscript,
    Ruling,
)
from coterie_party.store.rounds import RoundRecord, asked_jobs, asked_rounds, cohort_of
from coterie_party.store.tables import ACCEPTANCES, ASKED_STEPS, JOBS, REPLIES, TRANSCRIPTS


class StoreReader:
    """See the module.

    Args:
        engine: from ``open_database`` with the revisions of ``coterie_party.store.migrations``.
        founder: fingerprint of the founder's key; separates federations.
    """

    def __init__(self, engine: Engine, founder: str) -> None:
        self._engine = engine
        self._founder = founder

    def job(self, job_id: JobId) -> PartyJob | None:
        """Return a job that was proposed; ``None`` if it was not."""
        with transaction(self._engine) as connection:
            return self._job(connection, job_id)

    def jobs(self) -> tuple[PartyJob, ...]:
        """Return all jobs in the order in which they were first proposed."""
        query = select(JOBS).where(JOBS.c.founder == self._founder).order_by(JOBS.c.sequence)
        with transaction(self._engine) as connection:
            return tuple(job_of(row) for row in connection.execute(query))

    def held_jobs(self) -> tuple[tuple[PartyJob, Ruling | None], ...]:
        """Return the jobs that wait, each with the steward's latest decision on it."""
        waiting = (JOBS.c.decision == Decision.HELD.value) & JOBS.c.outcome.is_(None)
        query = select(JOBS).where(JOBS.c.founder == self._founder, waiting).order_by(JOBS.c.sequence)
        with transaction(self._engine) as connection:
            jobs = [job_of(row) for row in connection.execute(query)]
            return tuple((job, rulings.last(connection, self._founder, job.job_id)) for job in jobs)

    def ruling(self, job_id: JobId) -> Ruling | None:
        """Return the steward's latest decision on a job; ``None`` if there is none."""
        with transaction(self._engine) as connection:
            return rulings.last(connection, self._founder, job_id)

    def jobs_of(self, spec_digest: bytes) -> tuple[JobId, ...]:
        """Return all jobs that were ever proposed with a specification, by any founder."""
        query = select(JOBS.c.job_id).where(JOBS.c.spec_digest == spec_digest).order_by(JOBS.c.sequence)
        with transaction(self._engine) as connection:
            return tuple(JobId(row.job_id) for row in connection.execute(query))

    def round(self, job_id: JobId, number: int) -> PartyRound:
        """Return where a round stands; ``Phase.NEW`` if nothing is known of it."""
        with self._record(job_id, number) as record:
            return record.state()

    def reply_in_session(self, job_id: JobId, session_id: bytes) -> bytes | None:
        """Return the digest of the reply that this party sent in a session; ``None`` if it sent none."""
        same = and_(*(ACCEPTANCES.c[name] == REPLIES.c[name] for name in ("founder", "job_id", "number")))
        sent = select(REPLIES.c.digest).join(ACCEPTANCES, same).where(self._is(REPLIES, job_id))
        with transaction(self._engine) as connection:
            digest: bytes | None = connection.execute(
                sent.where(ACCEPTANCES.c.session_id == session_id)
            ).scalar_one_or_none()
        return digest

    def reply(self, job_id: JobId, number: int) -> bytes | None:
        """Return the reply's bytes; ``None`` if there are none or they were deleted."""
        with self._record(job_id, number) as record:
            return record.reply()

    def transcript(self, job_id: JobId, number: int) -> RecordedTranscript | None:
        """Return the transcript that a round is bound to."""
        with self._record(job_id, number) as record:
            return record.transcript()

    def partial(self, job_id: JobId, number: int) -> bytes | None:
        """Return the partial decryption; ``None`` if there is none."""
        with self._record(job_id, number) as record:
            return record.partial()

    def previous_cohort(self, job_id: JobId) -> tuple[PartyId, ...] | None:
        """Return the smallest cohort of a query that was accepted; ``None`` before the first.

        Each was a subset of those accepted before it, regardless of the order in which rounds were asked.
        """
        accepted = select(ACCEPTANCES.c.cohort).where(self._is(ACCEPTANCES, job_id))
        with transaction(self._engine) as connection:
            smallest = accepted.order_by(func.length(ACCEPTANCES.c.cohort)).limit(1)
            cohort = connection.execute(smallest).scalar_one_or_none()
        return None if cohort is None else cohort_of(cohort, job_id)

    def asked_jobs(self, dataset: str) -> tuple[AskedJob, ...]:
        """Return the jobs of all founders that asked a data set at least one round."""
        with transaction(self._engine) as connection:
            return asked_jobs(connection, self._founder, dataset)

    def asked_rounds(self, job_id: JobId) -> tuple[AskedRound, ...]:
        """Return the rounds of a job that this party accepted a query of, in order; raises ``StorageError``."""
        with transaction(self._engine) as connection:
            return asked_rounds(connection, self._founder, job_id)

    def asked_steps(self, job_id: JobId) -> dict[int, int]:
        """Return round number → step of the plan of the queries that were accepted."""
        asked = select(ASKED_STEPS.c.number, ASKED_STEPS.c.step).where(self._is(ASKED_STEPS, job_id))
        with transaction(self._engine) as connection:
            return {row.number: row.step for row in connection.execute(asked)}

    def opened_step(self, job_id: JobId, step: int) -> OpenedRound | None:
        """Return the last round of a step that this party helps to open, if there is one."""
        of_step = TRANSCRIPTS.c.step == step
        opened = select(TRANSCRIPTS.c.number, TRANSCRIPTS.c.digest).where(self._is(TRANSCRIPTS, job_id), of_step)
        with transaction(self._engine) as connection:
            last = connection.execute(opened.order_by(TRANSCRIPTS.c.number.desc()).limit(1)).one_or_none()
        return None if last is None else OpenedRound(number=last.number, transcript=last.digest)

    def datasets(self) -> tuple[str, ...]:
        """Return the data sets that a job was ever accepted on, by name."""
        with transaction(self._engine) as connection:
            return ledger.datasets(connection)

    def ledger(self, dataset: str) -> tuple[LedgerEntry, ...]:
        """Return the lines of a data set's privacy ledger, of all founders."""
        with transaction(self._engine) as connection:
            return ledger.entries(connection, dataset)

    def data_version(self, dataset: str) -> DataVersion | None:
        """Return the version of a data set's file that was stored last; ``None`` before the first."""
        with transaction(self._engine) as connection:
            return data_versions.version(connection, dataset)

    def divisions(self, job_id: JobId) -> frozenset[str]:
        """Return the divisions under which a job's lines count for one side of the records only."""
        with transaction(self._engine) as connection:
            return data_versions.divisions(connection, self._founder, job_id)

    @contextmanager
    def _record(self, job_id: JobId, number: int) -> Iterator[RoundRecord]:
        with transaction(self._engine) as connection:
            yield RoundRecord(connection, self._founder, job_id, number)

    def _job(self, connection: Connection, job_id: JobId) -> PartyJob | None:
        row = connection.execute(select(JOBS).where(self._is(JOBS, job_id))).one_or_none()
        return None if row is None else job_of(row)

    def _is(self, table: Table, job_id: JobId) -> ColumnElement[bool]:
        return (table.c.founder == self._founder) & (table.c.job_id == job_id)
