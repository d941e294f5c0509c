# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's durable state. Its replies and opened transcripts are kept under (founder, job, round) for ever.

Invariants:
- A method that writes returns once everything is durable; one call is one transaction.
- A job id is bound to the first specification and terms seen under it, for a refused job only as long as ``job_quota``
  keeps it; a round is bound for ever to one query, one reply, one transcript. Anything else is refused, also after a
  restart.
- No query is accepted whose cost is not in the ledger.
- Everything that it keeps for ever is also in the audit record, in the same transaction.
- Only one thread at a time, and only one process, writes to a store, except for the steward's decisions on single jobs.

Privacy: a store restored from a backup has forgotten the party's later replies; such a party counts as corrupted until
its key share is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, update

from coterie_common.audit.entry import Details, Event, Kind
from coterie_common.audit.told import NOTHING_TOLD
from coterie_common.errors import (
    Equivocation,
    NotFound,
    StaleRound,
    StateError,
)
from coterie_common.host.database import transaction
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_common.randomness import RandomSource
from coterie_party.store import data_versions, job_quota, promises, rulings, salts
from coterie_party.store.audit import Recorder
from coterie_party.store.job_rows import insert_job, may_still_decide, update_job
from coterie_party.store.ledger import ledger
from coterie_party.store.ledger import record as ledger_record
from coterie_party.store.reader import StoreReader
from coterie_party.store.records import (
    AskedStep,
    DataVersion,
    PartyJob,
    RecordedTranscript,
    Reservation,
)
from coterie_party.store.rounds import RoundRecord
from coterie_party.store.tables import JOBS, REPLIES

_READ_ONLY: Final = "this store was opened for reading: nothing may be written without an audit record"


class PartyStore(StoreReader):
    """See the module.

    Args:
        engine: from ``open_database`` with the revisions of ``coterie_party.store.migrations``.
        founder: fingerprint of the founder's key; separates federations.
        recorder: appends to the audit record; without it the store can only be read.

    Where a method takes ``told``, that is the aggregator's message, as details of the entry in the record.
    """

    def __init__(self, engine: Engine, founder: str, recorder: Recorder | None = None) -> None:
        super().__init__(engine, founder)
        self._recorder = recorder

    def rule(self, job_id: JobId, *, is_approved: bool, reason: str = "", now: datetime) -> PartyJob:
        """Store the steward's decision on a job, and return the job; a running daemon acts on it, and records it then.

        Raises:
            NotFound: it was never proposed.
            AlreadyDecided: it is over, or was refused; or it is approved, and the party already takes part.
        """
        with transaction(self._engine) as connection:
            job = self._job(connection, job_id)
            if job is None:
                raise NotFound(f"no job {job_id} was proposed to this party")
            rulings.add(connection, self._founder, job, is_approved=is_approved, reason=reason, now=now)
            return job

    def record_job(
        self,
        job: PartyJob,
        reservations: Sequence[Reservation] = (),
        told: Details = NOTHING_TOLD,
        version: DataVersion | None = None,
    ) -> PartyJob:
        """Record a decision, for an acceptance with its cost, and return the job in its new state.

        The first decision stays, except that a held job may be accepted or refused later, until it has ended. The
        caller reads the ledger, decides and records one job at a time. For a refused job only digests are kept, and in
        a flood of such jobs nothing at all: see ``job_quota``.

        Args:
            job: with the decision.
            reservations: the cost of every planned round, exactly when the job is accepted.
            told: see the class.
            version: of the data set's file, kept if the job is accepted; ``None`` where no rows have sides.

        Raises:
            Equivocation: another specification or other terms were proposed under this id.
            StateError: accepted without a cost, or not accepted and with one.
        """
        accepts = job.decision is Decision.ACCEPTED
        if reservations and not accepts:
            raise StateError(f"job {job.job_id} is {job.decision.value}, but has a cost")
        if job.decision is Decision.REFUSED:
            job = replace(job, spec=b"", terms=b"", cost=None)
        now, recorder = self._now(), self._recording()
        with transaction(self._engine) as connection:
            known = self._job(connection, job.job_id)
            if known is None:
                decided = replace(job, outcome=None, proposed_at=now, decided_at=now)
                if job.decision is Decision.REFUSED:
                    refusal = self._event(Kind.DECISION, job.job_id, 0, promises.decision(decided), told)
                    if recorder.refused_job(connection, refusal):
                        insert_job(connection, self._founder, decided)
                        job_quota.forget_refused(connection, self._founder)
                    return decided
                insert_job(connection, self._founder, decided)
            elif (known.spec_digest, known.terms_digest) != (job.spec_digest, job.terms_digest):
                raise Equivocation(f"job {job.job_id} was proposed before with another specification or other terms")
            elif not may_still_decide(known) or (job.decision, job.detail) == (Decision.HELD, known.detail):
                return known
            else:
                decided = replace(job, outcome=None, proposed_at=known.proposed_at, decided_at=now)
                update_job(connection, self._founder, decided)
            own = promises.decision(decided)
            if accepts:
                ledger.reserve(connection, self._founder, job.job_id, job.dataset, reservations, now)
                own["ledger"] = ledger_record.digest(job.dataset, reservations)
                if version is not None:
                    data_versions.keep(connection, job.dataset, version)
            recorder.append(connection, self._event(Kind.DECISION, job.job_id, 0, own, told), now)
            for line in ledger_record.details(job.dataset, reservations):
                self._note(connection, Kind.LEDGER, job.job_id, 0, line)
        return decided

    def check_room(self) -> None:
        """Check that there is room for another job; raises ``QuotaExceeded``."""
        with transaction(self._engine) as connection:
            job_quota.check_room(connection, self._founder, self._now() - timedelta(days=1))

    def end_job(self, job_id: JobId, outcome: JobOutcome, told: Details = NOTHING_TOLD) -> None:
        """Record how a job ended: unspent reservations are given back, reply bytes are deleted, digests stay.

        The first outcome stays. A job that was never proposed to this party ends without a record; if a job asked this
        party nothing, its specification and terms are deleted, too.
        """
        with transaction(self._engine) as connection:
            running = self._is(JOBS, job_id) & JOBS.c.outcome.is_(None)
            ended = connection.execute(update(JOBS).where(running).values(outcome=outcome.value))
            if ended.rowcount:
                self._note(connection, Kind.JOB_END, job_id, 0, promises.job_end(outcome), told)
                unasked = update(JOBS).where(self._is(JOBS, job_id), ~job_quota.is_asked())
                connection.execute(unasked.values(spec=b"", terms=b""))
            ledger.release_unspent(connection, self._founder, job_id, self._now())
            connection.execute(update(REPLIES).where(self._is(REPLIES, job_id)).values(data=None))

    def accept_query(
        self,
        job_id: JobId,
        number: int,
        session_id: bytes,
        cohort: Sequence[PartyId],
        asked: AskedStep,
        told: Details = NOTHING_TOLD,
    ) -> None:
        """Bind a round to a query and commit its cost; the same again changes nothing.

        Args:
            job_id: an accepted job.
            number: of the round.
            session_id: of the query.
            cohort: the parties asked.
            asked: the step of the plan.
            told: see the class.

        Raises:
            AlreadyAnswered: another query was accepted, or the round was opened without this party.
            StaleRound: the job has ended.
            BudgetExhausted: nothing is reserved for the step, or for asking it again.
            StateError: the job was not accepted.
        """
        with transaction(self._engine) as connection:
            job = self._job(connection, job_id)
            if job is None or job.decision is not Decision.ACCEPTED:
                raise StateError(f"a query for job {job_id}, which this party did not accept")
            if job.outcome is not None:
                raise StaleRound(f"job {job_id} is over: {job.outcome.value}")
            line = RoundRecord(connection, self._founder, job_id, number).accept(session_id, cohort, asked, self._now())
            if line is not None:
                own = promises.query(session_id, cohort, None if line == number else line)
                self._note(connection, Kind.QUERY, job_id, number, own, told)

    def store_reply(self, job_id: JobId, number: int, digest: bytes, data: bytes) -> None:
        """Keep the reply before its first byte leaves; the same again changes nothing.

        Raises:
            AlreadyAnswered: another reply is kept, or the round was opened without this party.
            StaleRound: the job has ended, and with it the reason to keep a reply.
            StateError: no query was accepted.
        """
        with transaction(self._engine) as connection:
            record, job = RoundRecord(connection, self._founder, job_id, number), self._job(connection, job_id)
            if job is not None and job.outcome is not None and not record.is_answered:
                raise StaleRound(f"job {job_id} is over: {job.outcome.value}")
            if record.keep_reply(digest, data):
                self._note(connection, Kind.REPLY, job_id, number, {"bytes": len(data), **promises.reply(digest)})

    def record_transcript(
        self,
        job_id: JobId,
        number: int,
        session_id: bytes,
        transcript_digest: bytes,
        total: bytes,
        contributors: int,
        step: int,
        told: Details = NOTHING_TOLD,
    ) -> None:
        """Bind a round to the transcript that this party opens; the same again changes nothing.

        Args:
            job_id: the job; need not be one that this party accepted.
            number: of the round.
            session_id: recomputed from the request.
            transcript_digest: recomputed from the request.
            total: bytes of the sum's ciphertexts.
            contributors: the number of replies in it.
            step: of the plan.
            told: see the class.

        Raises:
            AlreadyAnswered: another transcript is recorded, or another query was accepted.
        """
        transcript = RecordedTranscript(
            session_id=session_id, digest=transcript_digest, total=total, contributors=contributors, step=step
        )
        with transaction(self._engine) as connection:
            if RoundRecord(connection, self._founder, job_id, number).open(transcript):
                opened = promises.decryption(session_id, transcript_digest)
                self._note(connection, Kind.DECRYPTION, job_id, number, opened, told)

    def store_partial(self, job_id: JobId, number: int, data: bytes) -> None:
        """Keep the partial decryption before it leaves; the same again changes nothing.

        Raises:
            AlreadyAnswered: another one is kept.
            StateError: no transcript was recorded.
        """
        with transaction(self._engine) as connection:
            if RoundRecord(connection, self._founder, job_id, number).keep_partial(data):
                self._note(connection, Kind.PARTIAL, job_id, number, {"bytes": len(data), **promises.partial(data)})

    def salt(self, dataset: str, random: RandomSource) -> bytes:
        """Return the 32 secret bytes that decide which records of a data set are set aside; drawn once.

        Privacy: they never change, else a record set aside for evaluation would train another time.
        """
        with transaction(self._engine) as connection:
            return salts.salt(connection, dataset, random)

    def keep_data_version(self, dataset: str, version: DataVersion) -> None:
        """Keep the version of a file before anything is computed on it."""
        with transaction(self._engine) as connection:
            data_versions.keep(connection, dataset, version)

    def _now(self) -> datetime:
        return self._recording().clock.now()

    def _recording(self) -> Recorder:
        if self._recorder is None:
            raise StateError(_READ_ONLY)
        return self._recorder

    def _note(
        self, connection: Connection, kind: Kind, job_id: JobId, number: int, own: Details, told: Details = NOTHING_TOLD
    ) -> None:
        """Append to the record the aggregator's message and this party's response to it."""
        self._recording().append(connection, self._event(kind, job_id, number, own, told))

    @staticmethod
    def _event(kind: Kind, job_id: JobId, number: int, own: Details, told: Details) -> Event:
        return Event(kind=kind, job_id=job_id, round_number=number, details={**told, **own})
