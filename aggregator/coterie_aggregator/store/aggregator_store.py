# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's durable state: jobs, the events of jobs and rounds in their order, states, models.

The state of a job or round follows from folding its events with the state machines; this module does not interpret
events.

Invariants:
- A method that writes returns once everything is durable; one call is one transaction.
- A round keeps the query and state with which it was started, and ends once.
- Only one thread at a time, and only one process, uses a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, Table, func, insert, select, update

from coterie_aggregator.machines import round_events
from coterie_aggregator.machines.job_events import Event as JobEvent
from coterie_aggregator.machines.job_events import ModelFinished, RoundReleased, UnfinishedModelKept
from coterie_aggregator.store.event_codec import EventCodec
from coterie_aggregator.store.tables import JOB_EVENTS, JOBS, MODELS, ROUND_EVENTS, ROUNDS
from coterie_common.crypto.hashing import Label, long_hash
from coterie_common.errors import StateError
from coterie_common.host.database import release_long_values, transaction
from coterie_common.identifiers import JobId

_JOB_EVENTS: Final = EventCodec[JobEvent](JobEvent)
_ROUND_EVENTS: Final = EventCodec[round_events.Event](round_events.Event)

_LONG_BYTES: Final = 16 << 20
"""Written at once: of less, it does not matter that the driver keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job as it was submitted.

    Attributes:
        job_id: the job.
        proposal: the signed proposal's bytes.
        submitter: id of the operator or scientist.
        submitted_at: with time zone.
    """

    job_id: JobId
    proposal: bytes
    submitter: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class StoredRound:
    """A round as it was started: the query's bytes, the algorithm's state that it is based on, and the time."""

    query: bytes
    state: bytes
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model without its bytes; ``digest`` is the one under the signature of its delivery."""

    job_id: JobId
    size_bytes: int
    digest: bytes
    stored_at: datetime


class AggregatorStore:
    """See the module.

    Args:
        engine: from ``open_database`` with the revisions of ``coterie_aggregator.store.migrations``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_job(self, stored: StoredJob) -> None:
        """Record a new job; raises ``StateError`` if there is one of this id."""
        with transaction(self._engine) as connection:
            connection.execute(
                insert(JOBS).values(
                    job_id=stored.job_id,
                    proposal=stored.proposal,
                    submitter=stored.submitter,
                    submitted_at=stored.submitted_at,
                )
            )

    def jobs(self) -> tuple[StoredJob, ...]:
        """Return all jobs in order of submission."""
        query = select(JOBS.c.job_id, JOBS.c.proposal, JOBS.c.submitter, JOBS.c.submitted_at).order_by(JOBS.c.sequence)
        return tuple(StoredJob(**row._mapping) for row in self._rows(query))

    def append_job_event(self, job_id: JobId, event: JobEvent, at: datetime, ends: bool) -> None:
        """Record that an event changed a job.

        Args:
            job_id: the job.
            event: accepted by ``job.step``.
            at: when it happened, with time zone.
            ends: the job has ended by it; the first such event is when it ended.
        """
        with transaction(self._engine) as connection:
            self._append(connection, JOB_EVENTS, {"job_id": job_id}, _JOB_EVENTS.encode(event), at)
            if ends:
                unended = update(JOBS).where(JOBS.c.job_id == job_id, JOBS.c.ended_at.is_(None))
                connection.execute(unended.values(ended_at=at))

    def job_events(self, job_id: JobId) -> tuple[JobEvent, ...]:
        """Return the events of a job, in order."""
        events = JOB_EVENTS.c
        query = select(events.kind, events.document).where(events.job_id == job_id).order_by(events.sequence)
        return tuple(_JOB_EVENTS.decode(row.kind, row.document) for row in self._rows(query))

    def ended_at(self, job_id: JobId) -> datetime | None:
        """Return when a job ended; ``None`` while it runs."""
        ended: datetime | None = self._value(select(JOBS.c.ended_at).where(JOBS.c.job_id == job_id))
        return ended

    def start_round(
        self, job_id: JobId, number: int, query: bytes, state: bytes, at: datetime, quorum: int | None = None
    ) -> None:
        """Record a round before its query is sent to anybody; the same again changes nothing.

        Args:
            job_id: the job.
            number: of the round.
            query: its bytes.
            state: of the algorithm, from which it follows.
            at: when, with time zone.
            quorum: that the query names; that of the job if not given.

        Raises:
            StateError: the round was started with another query or state.
        """
        with transaction(self._engine) as connection:
            started = self._round(connection, job_id, number)
            if started is None:
                connection.execute(
                    insert(ROUNDS).values(
                        job_id=job_id, number=number, query=query, state=state, started_at=at, quorum=quorum
                    )
                )
            elif (started.query, started.state) != (query, state):
                raise StateError(f"round {number} of job {job_id} was started with another query")
        self._release(query, state)

    def round(self, job_id: JobId, number: int) -> StoredRound | None:
        """Return what a round was started with; ``None`` if it was not."""
        with transaction(self._engine) as connection:
            started = self._round(connection, job_id, number)
        return None if started is None else StoredRound(started.query, started.state, started.started_at)

    def quorum(self, job_id: JobId, number: int) -> int | None:
        """Return the quorum that a round's query names; ``None`` if it is that of its job."""
        quorum: int | None = self._value(
            select(ROUNDS.c.quorum).where(ROUNDS.c.job_id == job_id, ROUNDS.c.number == number)
        )
        return quorum

    def last_round(self, job_id: JobId) -> int:
        """Return the number of the last round that was started; 0 if none was."""
        number: int = self._value(select(func.coalesce(func.max(ROUNDS.c.number), 0)).where(ROUNDS.c.job_id == job_id))
        return number

    def append_round_event(self, job_id: JobId, number: int, event: round_events.Event, at: datetime) -> None:
        """Record that an event changed a round; raises ``StateError`` if the round was not started."""
        with transaction(self._engine) as connection:
            key = {"job_id": job_id, "number": number}
            self._append(connection, ROUND_EVENTS, key, _ROUND_EVENTS.encode(event), at)

    def round_events(self, job_id: JobId, number: int) -> tuple[round_events.Event, ...]:
        """Return the events of a round, in order."""
        events = ROUND_EVENTS.c
        query = select(events.kind, events.document).where(events.job_id == job_id, events.number == number)
        return tuple(
            _ROUND_EVENTS.decode(row.kind, row.document) for row in self._rows(query.order_by(events.sequence))
        )

    def round_event_times(self, job_id: JobId, number: int) -> tuple[datetime, ...]:
        """Return when each of ``round_events`` happened, in order."""
        events = ROUND_EVENTS.c
        query = select(events.at).where(events.job_id == job_id, events.number == number).order_by(events.sequence)
        return tuple(row.at for row in self._rows(query))

    def finish_round(
        self,
        job_id: JobId,
        number: int,
        *,
        transcript_digest: bytes,
        state: bytes,
        event: RoundReleased | ModelFinished,
        model: bytes | None,
        at: datetime,
    ) -> None:
        """Record all that follows from a release at once; the same again changes nothing.

        The query of the round and all states before the new one are forgotten.

        Args:
            job_id: the job.
            number: of the round.
            transcript_digest: of what was opened.
            state: of the algorithm after the round.
            event: for the job: another round follows, or the model is there.
            model: the model's file, with ``ModelFinished`` only.
            at: when, with time zone.

        Raises:
            StateError: the round was not started, was finished differently, or event and model do not fit.
        """
        if isinstance(event, ModelFinished) != (model is not None):
            raise StateError("a model is stored exactly when it is finished")
        with transaction(self._engine) as connection:
            # Query and state are long, and not needed here.
            columns = ROUNDS.c.transcript_digest, ROUNDS.c.next_state, ROUNDS.c.finished_at
            this = select(*columns).where(ROUNDS.c.job_id == job_id, ROUNDS.c.number == number)
            started = connection.execute(this).one_or_none()
            if started is None:
                raise StateError(f"round {number} of job {job_id} was never started")
            if started.finished_at is not None:
                if (started.transcript_digest, started.next_state) != (transcript_digest, state):
                    raise StateError(f"round {number} of job {job_id} was finished differently")
                return
            # The new state contains everything that went before; models are long, and jobs have hundreds of rounds. The
            # row that replaces this one would be made in memory with all that stays in it.
            connection.execute(
                update(ROUNDS)
                .where(ROUNDS.c.job_id == job_id, ROUNDS.c.number == number)
                .values(query=b"", state=b"", transcript_digest=transcript_digest, next_state=state, finished_at=at)
            )
            connection.execute(
                update(ROUNDS)
                .where(ROUNDS.c.job_id == job_id, ROUNDS.c.number < number, func.length(ROUNDS.c.next_state) > 0)
                .values(query=b"", state=b"", next_state=b"")
            )
            if model is not None:
                digest = long_hash(Label.MODEL, model)
                connection.execute(insert(MODELS).values(job_id=job_id, model=model, digest=digest, stored_at=at))
            self._append(connection, JOB_EVENTS, {"job_id": job_id}, _JOB_EVENTS.encode(event), at)
        self._release(state, model or b"")

    def keep_unfinished(self, job_id: JobId, event: UnfinishedModelKept, model: bytes | None, at: datetime) -> None:
        """Record the model of a job that ended early, or that there can be none, with the corresponding event.

        Raises:
            StateError: event and model do not fit.
        """
        if event.is_kept != (model is not None):
            raise StateError("a model is stored exactly when it is kept")
        with transaction(self._engine) as connection:
            if model is not None:
                digest = long_hash(Label.MODEL, model)
                connection.execute(insert(MODELS).values(job_id=job_id, model=model, digest=digest, stored_at=at))
            self._append(connection, JOB_EVENTS, {"job_id": job_id}, _JOB_EVENTS.encode(event), at)
        self._release(model or b"")

    def latest_state(self, job_id: JobId) -> bytes | None:
        """Return the algorithm's state after the last released round, or the first one's; ``None`` before it."""
        rounds = ROUNDS.c
        is_first = rounds.next_state.is_(None)
        # States are long: a query that sorts them would hold several in memory.
        found = self._rows(
            select(rounds.number, is_first)
            .where(rounds.job_id == job_id)
            .order_by(is_first, rounds.number.desc())
            .limit(1)
        )
        if not found:
            return None
        ((number, is_before_release),) = map(tuple, found)
        column = rounds.state if is_before_release else rounds.next_state
        state: bytes = self._value(select(column).where(rounds.job_id == job_id, rounds.number == number))
        return state

    def transcripts(self, job_id: JobId) -> tuple[bytes, ...]:
        """Return the transcript digests of the released rounds, in order."""
        rounds = ROUNDS.c
        released = rounds.job_id == job_id, rounds.transcript_digest.is_not(None)
        rows = self._rows(select(rounds.transcript_digest).where(*released).order_by(rounds.number))
        return tuple(row.transcript_digest for row in rows)

    def model(self, job_id: JobId) -> bytes | None:
        """Return a job's model."""
        model: bytes | None = self._value(select(MODELS.c.model).where(MODELS.c.job_id == job_id))
        return model

    def model_stored_at(self, job_id: JobId) -> datetime | None:
        """Return when a job's model was finished; ``None`` before."""
        stored_at: datetime | None = self._value(select(MODELS.c.stored_at).where(MODELS.c.job_id == job_id))
        return stored_at

    def models(self) -> tuple[StoredModel, ...]:
        """Return all models in the order in which their jobs were submitted."""
        models = MODELS.c
        columns = models.job_id, func.length(models.model).label("size_bytes"), models.digest, models.stored_at
        query = select(*columns).join(JOBS, JOBS.c.job_id == models.job_id).order_by(JOBS.c.sequence)
        return tuple(StoredModel(**row._mapping) for row in self._rows(query))

    def _release(self, *written: bytes) -> None:
        if sum(map(len, written)) >= _LONG_BYTES:
            release_long_values(self._engine)

    def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        with transaction(self._engine) as connection:
            return list(connection.execute(query))

    def _value(self, query: Select[Any]) -> Any:
        with transaction(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none()

    @staticmethod
    def _round(connection: Connection, job_id: JobId, number: int) -> Row[Any] | None:
        return connection.execute(
            select(ROUNDS).where(ROUNDS.c.job_id == job_id, ROUNDS.c.number == number)
        ).one_or_none()

    @staticmethod
    def _append(
        connection: Connection, table: Table, key: dict[str, Any], record: tuple[str, bytes], at: datetime
    ) -> None:
        same = [table.c[name] == value for name, value in key.items()]
        last = connection.execute(select(func.coalesce(func.max(table.c.sequence), 0)).where(*same)).scalar_one()
        kind, data = record
        connection.execute(insert(table).values(**key, sequence=last + 1, kind=kind, document=data, at=at))
