# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's single-writer loop: one message of the aggregator at a time, for jobs and rounds.

Nothing is decided here: the transitions of a round are in ``round``, and ``rounds`` carries them out; the checks of a
message are in ``protocol.verification``, decisions on jobs in ``proposals``.

Invariant: of an error in the party's own data only the code leaves the house, never its text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never

import structlog

from coterie_common.audit.told import NOTHING_TOLD, Details, told
from coterie_common.errors import (
    AlteredReplyList,
    CoterieError,
    InternalError,
    PeerError,
    RefusedError,
    StorageError,
    TransientError,
    UnexpectedMessage,
)
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Acceptances, RelayedEncapsulations
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    JobEnd,
    JobOutcome,
    JobProposal,
    ModelDelivery,
    Query,
    Rejection,
    Welcome,
)
from coterie_common.protocol.verification.aggregator_messages import verify_delivery, verify_job_end, verify_proposal
from coterie_common.protocol.verification.query import verify_query
from coterie_party import round as round_machine
from coterie_party.live import agreeing
from coterie_party.live.accepted_jobs import AcceptedJobs
from coterie_party.live.context import Context
from coterie_party.live.job_data import LoadedData
from coterie_party.live.knowledge import delivered_job, job_knowledge, running_job
from coterie_party.live.models import keep_model, make_receipt
from coterie_party.live.proposals import reply_to
from coterie_party.live.recording import record_failure, record_refusal, subject
from coterie_party.live.rounds import arithmetic as answering
from coterie_party.live.rounds.live_rounds import LiveRounds
from coterie_party.live.waiting import Waiting
from coterie_party.store.files.padded_parts import Outgoing

log = structlog.get_logger(__name__)

Send = Callable[[Outgoing], Awaitable[None]]


class Coordinator:
    """All jobs and rounds of one party; handles the connection's messages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._jobs = AcceptedJobs(context)
        self._data = LoadedData(context)
        self._rounds = LiveRounds(context, self._jobs, self._data, self._lock, self._say)
        self._send: Send | None = None
        self._waiting = Waiting(context, self._jobs)

    async def failed(self) -> None:
        """Wait until durable state can no longer be trusted; raises that error."""
        await self._rounds.failed()

    async def stop(self) -> None:
        """Cancel background work; work that was not persisted is redone after the next start."""
        await self._rounds.stop()
        self._data.close()

    # The interface for the connection.

    async def connected(self, send: Send) -> None:
        """The stream is open; the aggregator repeats everything that this party has not answered."""
        self._send = send

    async def disconnected(self) -> None:
        """The stream has ended."""
        self._send = None
        # The aggregator asks again on the next one.
        self._waiting.forget_queries()

    async def rejected(self, error: CoterieError) -> None:
        """Record something from the aggregator that was refused before it reached ``message``."""
        await record_refusal(self._context, error, None)

    async def message(self, message: AggregatorMessage) -> None:
        """Handle one message.

        Raises:
            PeerError, RefusedError: it is not accepted; nothing has changed.
            StorageError: durable state failed; the daemon stops.
        """
        async with self._lock:
            try:
                await self._handle(message)
            except (PeerError, RefusedError) as error:
                await record_refusal(self._context, error, message)
                raise
            except (StorageError, TransientError):
                raise
            except Exception as failure:  # noqa: BLE001  # a supervisor: one message must neither end the daemon nor silence it
                await self._unforeseen(failure, message)

    async def _unforeseen(self, failure: Exception, message: AggregatorMessage) -> None:
        error, (job_id, number) = await record_failure(self._context, failure, message), subject(message)
        if not isinstance(message, Rejection):
            await self._rounds.refuse((JobId(job_id), number), error)

    async def _handle(self, message: AggregatorMessage) -> None:
        match message:
            case JobProposal():
                await self._proposal(message)
            case Query():
                self._rounds.check_room(message)
                await self._query(message)
            case DecryptionRequest():
                if message.fields.terms.sealing.is_complete:
                    raise UnexpectedMessage("nobody opens the sum of a round that is sealed completely")
                self._rounds.check_room(message)
                key = message.fields.job_id, message.fields.round_number
                state = await self._rounds.state(key)
                answering.check_memory(self._context, message, state)
                await self._rounds.take(key, round_machine.RequestReceived(message), state)
            case Acceptances():
                await self._say(await agreeing.agree(message, self._context, self._jobs))
            case RelayedEncapsulations():
                await agreeing.take_relayed(message, self._context)
            case ModelDelivery():
                await self._delivery(message)
            case JobEnd():
                await self._job_end(message)
            case Rejection():
                where = {"job": message.job_id, "round": message.round_number}
                log.warning("rejected by the aggregator", **where, code=message.code, detail=message.detail)
            case Welcome():
                raise UnexpectedMessage("Welcome comes only once")
            case _:
                assert_never(message)

    async def look_again(self) -> None:
        """Do work that became due without a message: by a steward's decision, an edited policy or the time of day.

        Raises:
            StorageError: durable state failed; the daemon stops.
        """
        async with self._lock:
            await agreeing.erase_expired(self._context)
            for reply in await self._waiting.replies():
                log.info("job decided", job=reply.job_id, decision=reply.decision, code=reply.code, detail=reply.detail)
                await self._say(reply)
            for query in self._waiting.queries():
                try:
                    await self._query(query)
                except (PeerError, RefusedError) as error:
                    await record_refusal(self._context, error, query)
                    await self._rounds.refuse((query.fields.job_id, query.fields.round_number), error)
                except (StorageError, TransientError):
                    raise
                except Exception as failure:  # noqa: BLE001  # a supervisor: as in ``message``
                    await self._unforeseen(failure, query)

    async def _proposal(self, proposal: JobProposal) -> None:
        verify_proposal(proposal, self._context.roster)
        reply = await reply_to(proposal, self._context, self._jobs)
        log.info("job proposed", job=proposal.job_id, decision=reply.decision, code=reply.code, detail=reply.detail)
        await self._say(reply)

    async def _query(self, query: Query) -> None:
        fields = query.fields
        job = await self._jobs.of(await running_job(self._context, fields.job_id))
        is_complete = job.planned.spec.is_complete
        agreement = await agreeing.agreed_parties(self._context, fields.job_id) if is_complete else None
        known = await job_knowledge(self._context, job, fields.plan_step, agreement, query.previous)
        try:
            # Outside the loop, like everything that reads the whole of a message that may hold a model.
            await self._context.look(verify_query, query, self._context.party_id, self._context.roster, known)
        except AlteredReplyList:
            # Nothing that follows in this job can be trusted to hold this party's replies.
            await agreeing.erase(self._context, fields.job_id)
            raise
        key = fields.job_id, fields.round_number
        state = await self._rounds.state(key)
        if not await self._waiting.admits(query, job.planned, is_new=state.phase is round_machine.Phase.NEW):
            await self._say(self._waiting.notice(query))
            return
        await self._context.compute(answering.check_ask, query, job.planned)
        await self._rounds.take(key, round_machine.QueryReceived(query), state)

    async def _delivery(self, delivery: ModelDelivery) -> None:
        await self._context.look(verify_delivery, delivery, self._context.roster)
        job = await delivered_job(self._context, delivery.job_id)
        allowed = self._context.policy.all_algorithms
        try:
            kept = await self._context.on_writer(keep_model, self._context.models, delivery, job.spec_digest, allowed)
        except StorageError as full:
            # A model is no promise: without room for it the party goes on, and the aggregator sends it again.
            raise InternalError("the model cannot be written") from full
        log.info("model received", job=delivery.job_id, path=str(kept.path), finished=kept.is_finished)
        details = await self._context.look(told, delivery)
        await self._context.on_writer(self._context.audit.record_model, delivery.job_id, details)
        # If a job left an unfinished model, its JobEnd states how it ended.
        if kept.is_finished:
            await self._end(delivery.job_id, JobOutcome.COMPLETED)
        signer = self._context.party_id, self._context.signing_key
        await self._say(await self._context.look(make_receipt, delivery, *signer))

    async def _job_end(self, end: JobEnd) -> None:
        verify_job_end(end, self._context.roster)
        await self._end(end.job_id, end.outcome, told(end))

    async def _end(self, job_id: JobId, outcome: JobOutcome, said: Details = NOTHING_TOLD) -> None:
        job = await self._context.on_writer(self._context.store.job, job_id)
        if job is not None and job.outcome is None:
            await self._context.on_writer(self._context.store.end_job, job_id, outcome, said)
            log.info("job ended", job=job_id, outcome=outcome)
        # Nothing that is under way is of use any more.
        await self._rounds.end(job_id)
        await agreeing.erase(self._context, job_id)
        self._waiting.forget(job_id)
        self._jobs.forget(job_id)
        await self._data.drop(job_id)

    async def _say(self, message: Outgoing) -> None:
        """Send if connected; the aggregator asks again for anything lost."""
        if self._send is None:
            return
        try:
            await self._send(message)
        except TransientError:
            log.debug("not sent, the stream has ended", kind=type(message).__name__)
