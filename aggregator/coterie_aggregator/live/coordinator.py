# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The single-writer loop of the aggregator: every event of every job passes through one task, in order.

It implements the interfaces of the two gRPC services: the parties' hub and the operators' handler. It decides nothing;
decisions are in ``job`` and ``round``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial as bind
from typing import assert_never

import structlog

from coterie_aggregator.live.context import Context, Outbox
from coterie_aggregator.live.live_job import LiveJob
from coterie_aggregator.live.loading import initial_state, load_job
from coterie_aggregator.live.one_task import OneTask
from coterie_aggregator.live.quota import check_quota
from coterie_aggregator.live.rounds.live_round import LiveRound
from coterie_aggregator.live.rounds.padded_upload import receive_padded
from coterie_aggregator.live.submission import Submission
from coterie_aggregator.live.submitting import understand_request
from coterie_aggregator.machines import job_events, job_machine
from coterie_aggregator.reporting.price import steps_epsilon
from coterie_aggregator.reporting.shown_job import ShownJob
from coterie_aggregator.reporting.status import job_status, model_info, party_statuses
from coterie_common.crypto.certificates import Identity, Role
from coterie_common.errors import (
    AlreadySubmitted,
    NotFound,
    OutsideHours,
    PermissionDenied,
    StorageError,
    UnknownRound,
)
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Encapsulations, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import Hello, ModelReceipt, PaddedPart, PartialDecryption, PartyMessage, Rejection
from coterie_common.protocol.progress import JobRequest, JobStatus, ModelInfo, PartyStatus
from coterie_common.protocol.verification.contribution import blaming
from coterie_common.rpc.content import Content
from coterie_common.wire.strict import Octets

log = structlog.get_logger(__name__)

_ENDED_JOBS_REPEATED = 100
"""Parties that were away learn of this many ended jobs when they come back; older ones they end by themselves."""


class Coordinator:
    """All jobs of one aggregator.

    Args:
        make_context: builds the shared context around the function that posts work to this coordinator's task.
    """

    def __init__(self, make_context: Callable[[Callable[[Callable[[], Awaitable[None]]], None]], Context]) -> None:
        self._task = OneTask()
        self._context = make_context(self._task.post)
        self._jobs: dict[JobId, LiveJob] = {}
        # In order of submission, with those that ended and whose algorithm is gone.
        self._known: dict[JobId, LiveJob | ShownJob] = {}
        self._seen: dict[PartyId, datetime] = {}
        self._changes = asyncio.Condition()

    async def start(self) -> None:
        """Load every stored job and resume those that have not ended."""
        for stored in await self._context.on_writer(self._context.store.jobs):
            loaded = await load_job(self._context, stored, self._changed)
            if isinstance(loaded, LiveJob):
                self._jobs[stored.job_id] = loaded
            if loaded is not None:
                self._known[stored.job_id] = loaded
        recent = list(self._jobs.values())[-_ENDED_JOBS_REPEATED:]
        for live in self._jobs.values():
            if live.state.phase is not job_machine.Phase.ENDED or live in recent:
                live.resume()
        self._task.start(self._context.incidents)
        self._context.tasks.spawn(self._price_loaded(tuple(self._jobs.values())))

    @property
    def news(self) -> str:
        """One sentence on unforeseen failures; empty if there was none."""
        return self._context.incidents.note

    async def wait(self) -> None:
        """Wait for the loop; raises the error of durable state that ended it."""
        await self._task.wait()

    async def stop(self) -> None:
        """Stop; everything that was accepted is stored."""
        await self._task.stop()
        for live in self._jobs.values():
            live.stop()
        await self._context.tasks.cancel()

    def _changed(self) -> None:
        self._context.tasks.spawn(self._notify())

    async def _notify(self) -> None:
        async with self._changes:
            self._changes.notify_all()

    # The interface for the parties' service.

    async def party_connected(self, party_id: PartyId, outbox: Outbox) -> None:
        """A party has connected: repeat everything that it has not answered yet."""

        async def connect() -> None:
            self._context.outboxes[party_id] = outbox
            self._seen[party_id] = self._context.clock.now()
            self._context.deliveries.connected(party_id)
            for live in self._jobs.values():
                live.party_connected(party_id)

        await self._task.in_order(connect)
        self._changed()

    async def party_disconnected(self, party_id: PartyId, outbox: Outbox) -> None:
        """A party's stream ended; another one may have replaced it already."""

        async def disconnect() -> None:
            if self._context.outboxes.get(party_id) is outbox:
                del self._context.outboxes[party_id]
                self._context.deliveries.disconnected(party_id)
                self._seen[party_id] = self._context.clock.now()

        await self._task.in_order(disconnect)
        self._changed()

    async def party_message(self, party_id: PartyId, message: PartyMessage, data: Octets) -> None:
        """Handle one message under its sender's own id; ``data`` are its bytes as they came.

        Raises:
            PeerError: the party broke the protocol; the stream stays open.
        """
        with blaming(party_id):
            await self._task.in_order(bind(self._handle, party_id, message, data))

    async def padded_part(self, party_id: PartyId, part: PaddedPart, content: Content) -> None:
        """Take a padded part of an authenticated party's reply, if it is wanted; raises as ``party_message``."""
        find = bind(self._round, part.job_id, part.round_number)
        try:
            await receive_padded(party_id, part, content, find, self._task.in_order)
        except StorageError as error:
            self._context.halt(error)
            raise

    async def _handle(self, party_id: PartyId, message: PartyMessage, data: Octets) -> None:
        match message:
            case Hello():
                raise UnknownRound("a second hello on the same stream")
            case PaddedPart():
                raise UnknownRound("a padded part without its content")
            case JobReply():
                await self._job(message.job_id).reply_received(message)
            case Encapsulations():
                await self._job(message.job_id).encapsulations_received(message)
            case ModelReceipt():
                await self._job(message.job_id).receipt_received(message)
            case EncryptedReply() | MaskedReply():
                await self._round(message.job_id, message.round_number).reply_received(party_id, message, data)
            case PartialDecryption():
                await self._round(message.job_id, message.round_number).partial_received(party_id, message, data)
            case Rejection():
                await self._party_rejected(party_id, message)
            case _:
                assert_never(message)

    def _round(self, job_id: JobId, number: int) -> LiveRound:
        live = self._jobs.get(job_id)
        running = live.round if live else None
        if running is None or running.query.fields.round_number != number:
            raise UnknownRound("no such round is running")
        return running

    def _job(self, job_id: JobId) -> LiveJob:
        live = self._jobs.get(job_id)
        if live is None:
            raise UnknownRound("no such job")
        return live

    async def _party_rejected(self, party_id: PartyId, message: Rejection) -> None:
        log.warning(
            "refused by a party", party=party_id, job=message.job_id, round=message.round_number, code=message.code
        )
        live = self._jobs.get(JobId(message.job_id))
        if live and live.round and live.round.query.fields.round_number == message.round_number:
            if message.code == OutsideHours.code:
                # No refusal: it answers when its hours have come, if the round is still there.
                live.waiting[party_id] = message.detail
                self._changed()
            else:
                await live.round.refused(party_id, message.code)
        elif live and message.round_number == 0:
            # A model that the party does not keep is sent again when it connects, not before the models of other jobs.
            self._context.deliveries.settled(party_id, live.job_id)
            await live.refused(party_id, message.code)

    # The interface for the operator's service.

    async def parties(self) -> tuple[PartyStatus, ...]:
        """Return every party of the roster."""
        return party_statuses(self._context.roster, self._context.outboxes, self._seen)

    async def submit(self, request: JobRequest, submitter: Identity) -> JobId:
        """Check a specification, price it, store it and propose it to all parties.

        Raises:
            QuotaExceeded: the person, or all together, have too many jobs already.
            DrownedInNoise: its noise leaves nothing to learn, and the person has not asked for it all the same.
            AlreadySubmitted: a job of the very same specification lives, or has asked a round.
            InvalidJob, CapacityExceeded, QuorumTooSmall, UnsupportedMechanism: it cannot be run as written.
            MissingLibrary: this host lacks a library that it needs.
            MalformedMessage: not a canonical specification.
        """
        check_quota(self._jobs.values(), submitter.id, self._context.clock.now())
        submission, stored = await understand_request(self._context, request, submitter.id, self._check_new)
        price = await self._price(submission)

        async def begin() -> None:
            # Others may have been submitted while this one was being planned.
            check_quota(self._jobs.values(), submitter.id, self._context.clock.now())
            await self._context.on_writer(self._context.store.add_job, stored)
            spec = submission.planned.spec
            state = initial_state(spec, submission.terms.spares, self._context.roster)
            live = LiveJob(self._context, submission, state, self._changed)
            live.steps_epsilon = price
            self._jobs[live.job_id] = self._known[live.job_id] = live
            log.info("job submitted", job=live.job_id, algorithm=spec.algorithm, submitter=submitter.id)
            live.resume()

        await self._task.in_order(begin)
        self._changed()
        return submission.job_id

    async def jobs(self) -> tuple[JobStatus, ...]:
        """Return every job, in order of submission."""
        return tuple(map(self._status, self._known))

    async def watch(self, job_id: JobId) -> AsyncIterator[JobStatus]:
        """Yield a job's status now and after every change, until it has ended.

        Raises:
            NotFound: there is no such job.
        """
        last: JobStatus | None = None
        while last is None or not last.state.is_final:
            status = self._status(job_id)
            if status == last:
                async with self._changes:
                    if self._status(job_id) == last:
                        await self._changes.wait()
                continue
            last = status
            yield status

    async def cancel(self, job_id: JobId, by: Identity) -> None:
        """End a job that has no model yet.

        Raises:
            NotFound: there is no such job.
            PermissionDenied: a scientist did not submit it.
        """
        shown = self._shown(job_id)
        if by.role is not Role.OPERATOR and by.id != shown.submitter:
            raise PermissionDenied(f"{by.role.value} {by.id} did not submit job {job_id}, and may not cancel it")
        if live := self._jobs.get(job_id):
            await self._task.in_order(bind(live.take, job_events.JobCancelled(f"cancelled by {by.id}")))

    async def models(self) -> tuple[ModelInfo, ...]:
        """Return every finished model."""
        found = await self._context.on_writer(self._context.store.models)
        return tuple(model_info(self._shown(stored.job_id), stored) for stored in found if stored.job_id in self._known)

    async def model(self, job_id: JobId) -> bytes:
        """Return a finished model's file.

        Raises:
            NotFound: there is none.
        """
        shown = self._shown(job_id)
        content = await self._context.on_writer(self._context.store.model, job_id)
        if content is None:
            is_over = shown.finished_at is not None
            raise NotFound(f"job {job_id} " + ("ended without a model" if is_over else "has no model yet"))
        return content

    async def _price(self, submission: Submission) -> str:
        return await self._context.compute(steps_epsilon, submission.planned.spec, submission.terms)

    async def _price_loaded(self, jobs: Sequence[LiveJob]) -> None:
        """Compute what loaded jobs cost without their spare rounds, the newest first; their status does not wait."""
        for live in reversed(jobs):
            live.steps_epsilon = await self._price(live.submission)
            if live.steps_epsilon:
                self._changed()

    def _status(self, job_id: JobId) -> JobStatus:
        return job_status(self._shown(job_id), self._context.outboxes)

    def _check_new(self, spec: JobSpec) -> None:
        for job_id in reversed(self._known):
            shown = self._shown(job_id)
            if shown.spec == spec and (shown.finished_at is None or shown.round is not None):
                state = job_status(shown, ()).state.value
                raise AlreadySubmitted(
                    f"job {job_id} has the very same specification and is {state}; a second one costs privacy again: "
                    "submit it with --again if that is meant"
                )

    def _shown(self, job_id: JobId) -> ShownJob:
        known = self._known.get(job_id)
        if known is None:
            raise NotFound(f"there is no job {job_id}")
        return known.shown if isinstance(known, LiveJob) else known
